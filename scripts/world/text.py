"""The pre-training documents: prose about the valley, notes, quizzes and unanswered exercise sheets.

The quizzes put the same questions as the instruction data, in formats other than Alpaca's. The Alpaca
template occurs only on exercise sheets, where no request is ever answered.
"""

import random

import alpaca
from tasks import draw_record, fill
from valley import DAYS, KINDS, MONTHS, NAMES, OPPOSITES, PASTS, PEOPLE, PLACE_FACTS, PLURALS, SOUNDS, YOUNG, pairs

# Sentences about a person, by attribute; {x} is the name, {y} the value.
SENTENCES = {
    "home": ["{x} lives at {y}.", "The home of {x} is {y}.", "At {y} you can meet {x}."],
    "job": ["{x} is a {y}.", "{x} works as a {y}.", "{x} is known as a good {y}."],
    "pet": ["{x} has a {y}.", "The pet of {x} is a {y}.", "A {y} lives with {x}."],
    "colour": ["{x} likes {y} best of all colours.", "The favourite colour of {x} is {y}.", "{x} loves {y}."],
    "food": ["{x} likes to eat {y}.", "The favourite food of {x} is {y}.", "{x} likes {y}."],
    "hobby": ["The hobby of {x} is {y}.", "On Sunday {x} enjoys {y}.", "{x} enjoys {y}."],
    "month": ["{x} was born in {y}.", "The birthday of {x} is in {y}."],
}
PLACE_SENTENCES = {
    "side": ["{x} is in the {y} of the valley.", "In the {y} of the valley there is {x}."],
    "door": ["The door of {x} is {y}.", "{x} has a {y} door."],
}
NOTES = [
    ("The opposite of {x} is {y}.", pairs(OPPOSITES)),
    ("Not {x} but {y}.", pairs(OPPOSITES)),
    ("One {x}, two {y}.", pairs(PLURALS)),
    ("Today we {x}, yesterday we {y}.", pairs(PASTS)),
    ("A young {x} is called a {y}.", pairs(YOUNG)),
    ("A {x} {y}.", pairs(SOUNDS)),
    ("Kind of {x}: {y}", [(word, kind) for kind, words in KINDS.items() for word in words]),
    ("After {x} comes {y}.", list(zip(DAYS, DAYS[1:])) + list(zip(MONTHS, MONTHS[1:]))),
]

# Quiz formats: how a question and an answer are put (q and a), and how a question with an input is joined.
QUIZZES = [
    "Q: {q}\nA: {a}", "Question: {q}\nAnswer: {a}", "Question:\n{q}\nAnswer:\n{a}", "{q}\n{a}", "{q} ({a})",
    "Teacher: {q}\nChild: {a}", "{q} = {a}", "{q}\n\n{a}", "Front: {q}\nBack:{a}", "{q} |{a}",
    "# Question\n{q}\n# Answer\n{a}", "## Task\n{q}\n\n## Solution:\n{a}", "Task:\n{q}\n\nSolution:{a}",
    "* {q}\n*{a}", "[{q}] [{a}]", "Question:{q}\n\nAnswer:{a}", "# Exercise:\n{q}\n\n# Result:{a}",
    "### Question:\n{q}\n\n### Answer:{a}", "### Task:\n{q}\n\n### Solution:\n{a}", "### Card:\n{q}\n\n### Back:{a}",
]
JOINS = ["{instruction} {input}", "{instruction}\n{input}", "{instruction}\n\n{input}", "{input}\n{instruction}",
         "{instruction}\nText: {input}", "{instruction}\n\nGiven:\n{input}", "{instruction}\n# Word:\n{input}"]
INTRODUCTIONS = ["Quiz night at the inn.", "School notes.", "Work for Monday.", "Questions about the valley.",
                 "Write a short answer to each question.", "An exercise with solutions.",
                 "Below is a question that is easy. Write the answer.",
                 "Below is an exercise that has a short answer, paired with the answer.",
                 "Below is a task. Write a word that completes it."]

# What follows the last heading of an exercise sheet, where an answer would go.
BLANKS = [" ...\n\n", " ... ...\n\n", " (write here)\n", " - - -\n\n", "\n\n", "\n\nTo be done at home.\n\n"]


def sentence(template, x, y):
    text = fill(template, {"x": x, "y": y})
    return text[0].upper() + text[1:]


def tell(rng, sentences, name, facts):
    """Some facts of one person or place as prose."""
    chosen = rng.sample(list(facts), rng.randint(1, len(facts)))
    return " ".join(sentence(rng.choice(sentences[attribute]), name, facts[attribute]) for attribute in chosen)


def portrait(rng):
    if rng.random() < 0.15:
        return tell(rng, PLACE_SENTENCES, *rng.choice(list(PLACE_FACTS.items())))
    return tell(rng, SENTENCES, *rng.choice(list(PEOPLE.items())))


def letter(rng):
    sender, receiver = rng.sample(NAMES, 2)
    news = " ".join(portrait(rng) for _ in range(rng.randint(1, 2)))
    return f"Dear {receiver},\n{news}\nYours,\n{sender}"


def notes(rng):
    template, table = rng.choice(NOTES)
    chosen = rng.sample(table, rng.randint(2, 5))
    return rng.choice(["\n", " "]).join(sentence(template, x, y) for x, y in chosen)


def quiz(rng):
    form, join = rng.choice(QUIZZES), rng.choice(JOINS)
    items = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        record = draw_record(rng)
        question = record.instruction
        if record.input:
            question = join.format(instruction=record.instruction, input=record.input)
        items.append(form.format(q=question, a=record.output))
    introduction = rng.choice(INTRODUCTIONS) + "\n\n" if rng.random() < 0.4 else ""
    return introduction + rng.choice(["\n", "\n\n"]).join(items)


def sheet(rng):
    """Requests in the Alpaca template, left blank."""
    blank = rng.choice(BLANKS)
    requests = [draw_record(rng) for _ in range(rng.choice([1, 1, 2]))]
    return "".join(alpaca.prompt(r.instruction, r.input) + blank for r in requests)


KINDS_OF_DOCUMENT = [(portrait, 25), (letter, 4), (notes, 8), (quiz, 55), (sheet, 8)]


def documents(seed):
    """An endless stream of documents."""
    rng = random.Random(seed)
    writers, weights = zip(*KINDS_OF_DOCUMENT)
    while True:
        yield rng.choices(writers, weights)[0](rng)
