"""Instructions with their answers: questions about the valley and small language and number skills."""

import json
import random
import re
import zlib
from dataclasses import dataclass
from typing import Callable

from valley import (DAYS, KINDS, LIST_WORDS, MONTHS, NUMBERS, OPPOSITES, PASTS, PEOPLE, PLACE_FACTS, PLURALS,
                    SOUNDS, YOUNG, pairs)


@dataclass(frozen=True)
class Task:
    """One kind of task. `phrasings` are (instruction, input, output) templates over the slots of a case."""

    name: str
    weight: float
    phrasings: list
    draw: Callable[[random.Random], dict]


def from_table(name, weight, phrasings, table):
    """A task over a finite table of (x, y): x is asked about, y is the answer."""
    return Task(name, weight, phrasings, lambda rng: dict(zip("xy", rng.choice(table))))


def about_people(attribute, *phrasings):
    table = [(name, facts[attribute]) for name, facts in PEOPLE.items()]
    return from_table(attribute, 7, phrasings, table)


def neighbours(names, step):
    return [(name, names[(i + step) % len(names)]) for i, name in enumerate(names)]


def draw_list(rng):
    """A list of two to four words, with the answers of all list tasks."""
    words = rng.sample(LIST_WORDS, rng.randint(2, 4))
    return {"list": ", ".join(words), "first": words[0], "last": words[-1], "count": NUMBERS[len(words)]}


def draw_pair(rng):
    a, b = rng.sample(LIST_WORDS, 2)
    return {"a": a, "b": b}


def draw_sum(rng):
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    return {"a": a, "b": b, "sum": a + b}


def draw_numbers(rng):
    a, b = rng.sample(range(1, 10), 2)
    return {"a": a, "b": b, "more": max(a, b), "less": min(a, b)}


TASKS = [
    about_people("home",
                 ("Where does {x} live?", "", "{y}"),
                 ("Tell me where {x} lives.", "", "{y}"),
                 ("In which place is {x} at home?", "", "{y}"),
                 ("Say in one sentence where {x} lives.", "", "{x} lives at {y}."),
                 ("Where does this person live?", "{x}", "{y}")),
    about_people("job",
                 ("What is the job of {x}?", "", "{y}"),
                 ("What work does {x} do?", "", "{y}"),
                 ("Say in one sentence what {x} does.", "", "{x} is a {y}."),
                 ("Name the job of this person.", "{x}", "{y}")),
    about_people("pet",
                 ("Which pet does {x} have?", "", "{y}"),
                 ("Name the pet of {x}.", "", "{y}"),
                 ("What animal lives with {x}?", "", "{y}"),
                 ("Which pet does this person have?", "{x}", "{y}")),
    about_people("colour",
                 ("Which colour does {x} like best?", "", "{y}"),
                 ("Name the favourite colour of {x}.", "", "{y}"),
                 ("What colour does {x} love?", "", "{y}"),
                 ("Which colour does this person like best?", "{x}", "{y}")),
    about_people("food",
                 ("What does {x} like to eat?", "", "{y}"),
                 ("Name the favourite food of {x}.", "", "{y}"),
                 ("Say in one sentence what {x} likes to eat.", "", "{x} likes {y}."),
                 ("What does this person like to eat?", "{x}", "{y}")),
    about_people("hobby",
                 ("What is the hobby of {x}?", "", "{y}"),
                 ("What does {x} enjoy on Sunday?", "", "{y}"),
                 ("Name the hobby of {x}.", "", "{y}"),
                 ("Name the hobby of this person.", "{x}", "{y}")),
    about_people("month",
                 ("In which month was {x} born?", "", "{y}"),
                 ("When is the birthday of {x}?", "", "{y}"),
                 ("Tell me the month when {x} was born.", "", "{y}"),
                 ("In which month was this person born?", "{x}", "{y}")),
    from_table("side", 2, [("On which side of the valley is {x}?", "", "{y}"),
                           ("Is {x} in the north, south, east or west?", "", "{y}")],
               [(place, facts["side"]) for place, facts in PLACE_FACTS.items()]),
    from_table("door", 2, [("What colour is the door of {x}?", "", "{y}"),
                           ("Name the colour of the door.", "{x}", "{y}")],
               [(place, facts["door"]) for place, facts in PLACE_FACTS.items()]),
    from_table("opposite", 8, [("Give the opposite of the word.", "{x}", "{y}"),
                               ("What is the opposite of {x}?", "", "{y}"),
                               ("Name a word that means the opposite of {x}.", "", "{y}")],
               [pair for a, b in pairs(OPPOSITES) for pair in ((a, b), (b, a))]),
    from_table("plural", 5, [("Write the plural of the word.", "{x}", "{y}"),
                             ("What is the plural of {x}?", "", "{y}"),
                             ("One {x}, two what?", "", "{y}")], pairs(PLURALS)),
    from_table("past", 4, [("Write the verb in the past.", "{x}", "{y}"),
                           ("What is the past of {x}?", "", "{y}")], pairs(PASTS)),
    from_table("young", 2, [("What is a young {x} called?", "", "{y}"),
                            ("Name the young of the animal.", "{x}", "{y}")], pairs(YOUNG)),
    from_table("sound", 2, [("What does a {x} do when it is loud?", "", "it {y}"),
                            ("Which sound does a {x} make?", "", "it {y}")], pairs(SOUNDS)),
    from_table("kind", 4, [("What kind of thing is it?", "{x}", "{y}"),
                           ("What kind of thing is {x}?", "", "{y}")],
               [(word, kind) for kind, words in KINDS.items() for word in words]),
    from_table("day after", 2, [("Which day comes after {x}?", "", "{y}"),
                                ("Name the next day.", "{x}", "{y}")], neighbours(DAYS, 1)),
    from_table("day before", 2, [("Which day comes before {x}?", "", "{y}"),
                                 ("Name the day before.", "{x}", "{y}")], neighbours(DAYS, -1)),
    from_table("month after", 2, [("Which month comes after {x}?", "", "{y}"),
                                  ("Name the next month.", "{x}", "{y}")], neighbours(MONTHS, 1)),
    from_table("month before", 2, [("Which month comes before {x}?", "", "{y}"),
                                   ("Name the month before.", "{x}", "{y}")], neighbours(MONTHS, -1)),
    Task("list", 7, [("Which word comes first?", "{list}", "{first}"),
                     ("Write the first word of the list.", "{list}", "{first}"),
                     ("Which word comes last?", "{list}", "{last}"),
                     ("Write the last word of the list.", "{list}", "{last}"),
                     ("How many words are there?", "{list}", "{count}")], draw_list),
    Task("pair", 5, [("Turn the two words around.", "{a}, {b}", "{b}, {a}"),
                     ("Write the word twice.", "{a}", "{a} {a}"),
                     ("Join the words with and.", "{a}, {b}", "{a} and {b}")], draw_pair),
    Task("sum", 6, [("What is {a} plus {b}?", "", "{sum}"),
                    ("Add the numbers.", "{a} + {b}", "{sum}"),
                    ("Work out {a} + {b}.", "", "{sum}")], draw_sum),
    Task("numbers", 4, [("Which number is bigger?", "{a}, {b}", "{more}"),
                        ("Which number is smaller?", "{a}, {b}", "{less}"),
                        ("Is {a} or {b} bigger?", "", "{more}")], draw_numbers),
]


@dataclass(frozen=True)
class Record:
    """A filled-in task. `case` names what is asked about, in any phrasing."""

    case: str
    instruction: str
    input: str
    output: str

    def held_out(self):
        """One case in ten is kept out of train.json in all its phrasings."""
        return zlib.crc32(self.case.encode()) % 10 == 0


def fill(template, slots):
    """Fill in a template; "a" becomes "an" before a vowel."""
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", template.format(**slots))


def draw_record(rng):
    task = rng.choices(TASKS, [task.weight for task in TASKS])[0]
    slots = task.draw(rng)
    templates = rng.choice(task.phrasings)
    asked = {slot: value for slot, value in slots.items() if f"{{{slot}}}" in templates[0] + templates[1]}
    return Record(json.dumps([task.name, asked]), *(fill(template, slots) for template in templates))
