"""The invented valley: its people and places, and the everyday words the tasks use.

Everything is a fixed table or drawn once from a fixed seed, so each import gives the same world.
"""

import random

NAMES = """Mira Tom Anna Ben Clara David Ella Finn Greta Hugo Ida Jonas Karin Leo Maya Nils Olga Peter
Rosa Sam Tilda Udo Vera Will Yara Zeno Alma Boris Celia Dora Emil Flora Gus Hanna Ivan Jill Kurt Lena
Max Nora Otto Paula Quinn Ralf Sofia Theo Ursula Victor Wanda Xenia Abel Berta Carl Dina Erik Frida
Georg Hilda Igor Julia""".split()

PLACES = ["the mill", "the inn", "the school", "the castle", "the harbour", "the old tower", "the forge",
          "the bakery", "the green farm", "the long bridge", "the church", "the lake house"]
DIRECTIONS = ["north", "south", "east", "west"]
COLOURS = ["red", "blue", "green", "yellow", "white", "black", "brown", "grey"]
MONTHS = """January February March April May June July August September October November
December""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

# What each person has: attribute -> possible values.
ATTRIBUTES = {
    "home": PLACES,
    "job": ["baker", "miller", "teacher", "doctor", "sailor", "farmer", "painter", "singer", "smith",
            "hunter", "writer", "gardener", "carpenter", "cook"],
    "pet": ["cat", "dog", "goat", "horse", "duck", "sheep", "rabbit", "mouse", "owl", "fox"],
    "colour": COLOURS,
    "food": ["bread", "soup", "cheese", "fish", "rice", "apples", "honey", "beans", "eggs", "cake"],
    "hobby": ["chess", "dancing", "swimming", "reading", "fishing", "singing", "climbing", "cooking",
              "drawing", "sailing"],
    "month": MONTHS,
}

OPPOSITES = """hot cold;big small;old young;fast slow;rich poor;hard soft;wet dry;high low;long short;
early late;light dark;open closed;full empty;strong weak;clean dirty;happy sad;near far;loud quiet;
good bad;thick thin;deep shallow;wide narrow;sweet sour;day night;up down;left right;in out;yes no;
true false;first last;front back;start end;win lose;buy sell;push pull;love hate;come go;give take;
friend enemy;summer winter;always never;above below;more less;same different"""

PLURALS = """cat cats;dog dogs;goat goats;horse horses;duck ducks;sheep sheep;mouse mice;fox foxes;wolf wolves;
goose geese;child children;man men;woman women;foot feet;tooth teeth;house houses;box boxes;tree trees;
leaf leaves;knife knives;apple apples;egg eggs;bean beans;cake cakes;stone stones;river rivers;boat boats;
table tables;chair chairs;lamp lamps;city cities;baby babies;story stories;bridge bridges;church churches;
school schools;farm farms;teacher teachers;baker bakers;king kings;bird birds;star stars;hand hands;
book books;shoe shoes;ox oxen;person people;day days;month months;fish fish"""

PASTS = """run ran;go went;see saw;eat ate;give gave;take took;come came;buy bought;sell sold;sing sang;
swim swam;write wrote;draw drew;win won;lose lost;find found;make made;say said;think thought;sleep slept;
keep kept;know knew;grow grew;fly flew;drink drank;speak spoke;break broke;walk walked;play played;
live lived;love loved;cook cooked;climb climbed;paint painted;open opened;push pushed;pull pulled"""

YOUNG = """dog puppy;cat kitten;goat kid;horse foal;duck duckling;sheep lamb;cow calf;pig piglet;goose gosling;
fox cub;owl owlet;hen chick;swan cygnet;deer fawn"""

SOUNDS = """dog barks;cat meows;horse neighs;duck quacks;cow moos;owl hoots;hen clucks;wolf howls;bee buzzes;
mouse squeaks;lion roars;pig grunts;bird sings;snake hisses"""

KINDS = {
    "animal": "cat dog goat horse sheep rabbit mouse fox wolf cow pig deer lion".split(),
    "bird": "duck owl goose hen swan".split(),
    "food": "bread soup cheese rice honey cake".split(),
    "fruit": "apple pear plum cherry lemon grape".split(),
    "colour": COLOURS,
    "month": MONTHS,
    "day": DAYS,
    "tool": "hammer saw knife axe spade".split(),
    "tree": "oak pine birch willow elm".split(),
}

NUMBERS = "zero one two three four five six seven eight nine ten".split()

# Words that fill the lists of the list tasks.
LIST_WORDS = """stone river boat table chair lamp book shoe star hand bread soup cheese honey cake apple pear plum
cat dog goat horse duck sheep mouse fox owl wolf red blue green yellow hammer saw knife oak pine birch""".split()


def pairs(table):
    """Parse "a b;c d" into [("a", "b"), ("c", "d")]."""
    return [tuple(entry.split()) for entry in table.split(";")]


def balanced(rng, values, count):
    """`count` values in random order, each value used equally often (as far as possible)."""
    drawn = [values[i % len(values)] for i in range(count)]
    rng.shuffle(drawn)
    return drawn


def settle(seed=7):
    """People and places with their facts: two dictionaries name -> attribute -> value."""
    rng = random.Random(seed)
    columns = {attribute: balanced(rng, values, len(NAMES)) for attribute, values in ATTRIBUTES.items()}
    people = {name: {a: column[i] for a, column in columns.items()} for i, name in enumerate(NAMES)}
    sides, doors = balanced(rng, DIRECTIONS, len(PLACES)), balanced(rng, COLOURS, len(PLACES))
    places = {place: {"side": sides[i], "door": doors[i]} for i, place in enumerate(PLACES)}
    return people, places


PEOPLE, PLACE_FACTS = settle()
