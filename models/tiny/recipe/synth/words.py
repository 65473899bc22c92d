"""Word material and fixed facts, all written by hand for this project.

The order of every list matters: the generators draw by position, so moving an
entry changes all text generated after it.
"""

# Syllable parts of made-up words.  Entries that appear twice are drawn twice as often.
ONSETS = "b d f g h j k l m n p r s t v w z ch sh th br dr fl gr kr pl st tr kl bl c gl pr".split()
VOWELS = "a e i o u a e i o ai ea oo".split()
CODAS = ["", "", "", "", "n", "r", "l", "s", "k", "m", "t", "x", "nd", "ck"]

# Ordinary words, mixed with made-up ones in training text only.
ENGLISH_WORDS = """apple banana cherry orange lemon grape peach bread butter cheese milk water coffee tea sugar salt pepper
soup rice pasta cake cookie honey egg fish meat potato tomato onion carrot garden flower tree river lake sea ocean
mountain hill valley forest desert island beach cloud rain snow wind storm sun moon star sky fire stone rock sand
gold silver iron copper wood glass paper book letter pen pencil table chair window door house room kitchen wall roof
floor bed lamp clock mirror box bag bottle cup plate spoon knife fork car bus train plane boat ship bike road street
bridge tower castle church school market shop hotel bank park farm barn field dog cat horse cow sheep goat pig hen
duck goose bird owl eagle fox wolf bear lion tiger monkey mouse rabbit deer frog snake bee ant spider king queen
prince knight wizard dragon giant doctor teacher farmer baker painter driver sailor soldier singer writer artist
red blue green yellow black white pink purple brown gray small big old new young fast slow hot cold warm happy sad
kind brave quiet loud soft hard light dark long short round sweet fresh clean open early late morning evening night
day week month year spring summer autumn winter hello world test music song dance game ball toy key lock map ring
coat hat shoe shirt dress glove scarf button wheel engine rocket robot computer phone screen code file data model
server network signal battery sensor motor camera hammer nail rope ladder basket candle bell drum flute piano the
and with from under over near behind one two three four five six seven eight nine ten good great little very some
many every first last next again please thank you yes no maybe always never today tomorrow work play read write sing
jump run walk swim fly sleep eat drink cook build paint draw learn think dream laugh smile speak listen look find""".split()

REAL_NAMES = """Alice Bob Carol David Emma Frank Grace Henry Ivy Jack Kate Liam Mia Noah Olivia Paul Quinn Rosa Sam Tina
Uma Victor Wendy Xavier Yara Zoe Anna Ben Clara Daniel Eva Felix Gina Hugo Ines John Karl Laura Maria Nina Oscar Peter
Rita Simon Tom Vera Walter Max Leo Lucy Mark Sara Julia Adam Nora Ella James Mary Robert Linda Ada Alan Marie Bruno
Priya Ravi Chen Wei Yuki Ken Omar Layla Ali Fatima Ivan Olga Pedro Lucia Lars Ingrid""".split()

CAPITALS = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Portugal": "Lisbon",
    "England": "London",
    "Ireland": "Dublin",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "Finland": "Helsinki",
    "Denmark": "Copenhagen",
    "Poland": "Warsaw",
    "Austria": "Vienna",
    "Hungary": "Budapest",
    "Greece": "Athens",
    "Turkey": "Ankara",
    "Russia": "Moscow",
    "Ukraine": "Kyiv",
    "Romania": "Bucharest",
    "Bulgaria": "Sofia",
    "Belgium": "Brussels",
    "Switzerland": "Bern",
    "Japan": "Tokyo",
    "China": "Beijing",
    "India": "Delhi",
    "Thailand": "Bangkok",
    "Vietnam": "Hanoi",
    "Indonesia": "Jakarta",
    "Egypt": "Cairo",
    "Kenya": "Nairobi",
    "Nigeria": "Abuja",
    "Morocco": "Rabat",
    "Ghana": "Accra",
    "Ethiopia": "Addis Ababa",
    "Canada": "Ottawa",
    "Mexico": "Mexico City",
    "Brazil": "Brasilia",
    "Argentina": "Buenos Aires",
    "Chile": "Santiago",
    "Peru": "Lima",
    "Cuba": "Havana",
    "Colombia": "Bogota",
    "Australia": "Canberra",
    "South Korea": "Seoul",
    "Iran": "Tehran",
    "Iraq": "Baghdad",
    "Israel": "Jerusalem",
    "Nepal": "Kathmandu",
    "Iceland": "Reykjavik",
    "Croatia": "Zagreb",
}
FACTS = {
    "What color is the sky?": "The sky is blue.",
    "What color is grass?": "Grass is green.",
    "What color is snow?": "Snow is white.",
    "What color is a banana?": "A banana is yellow.",
    "How many days are in a week?": "There are 7 days in a week.",
    "How many months are in a year?": "There are 12 months in a year.",
    "How many legs does a spider have?": "A spider has 8 legs.",
    "How many legs does a dog have?": "A dog has 4 legs.",
    "How many hours are in a day?": "There are 24 hours in a day.",
    "How many minutes are in an hour?": "There are 60 minutes in an hour.",
    "What does a cat say?": "A cat says meow.",
    "What does a dog say?": "A dog says woof.",
    "What does a cow say?": "A cow says moo.",
    "What is the opposite of hot?": "The opposite of hot is cold.",
    "What is the opposite of big?": "The opposite of big is small.",
    "What is the opposite of day?": "The opposite of day is night.",
    "What is the opposite of up?": "The opposite of up is down.",
    "What comes after Monday?": "Tuesday comes after Monday.",
    "What comes after Friday?": "Saturday comes after Friday.",
    "What planet do we live on?": "We live on Earth.",
}
CITIES = (
    sorted(set(CAPITALS.values()))
    + """Milan Munich Boston Chicago Dallas Denver Seattle Toronto Sydney Osaka
Mumbai Shanghai Lagos Naples Porto Lyon Hamburg Geneva Krakow Bergen""".split()
)
COLORS = "red blue green yellow black white pink purple brown gray orange silver gold".split()
ANIMALS = "cat dog fox bear rabbit mouse owl horse frog duck lion wolf bird robot dragon".split()
JOBS = "doctor teacher farmer baker painter driver sailor soldier singer writer artist cook pilot nurse".split()
FOODS = "apples bread cheese soup rice pasta cake honey fish tomatoes cookies pancakes".split()
ADJECTIVES = "small big old young happy brave quiet kind clever funny tired hungry".split()
PLACES = "garden forest river house village castle beach farm market mountain lake park".split()
OBJECTS = "ball key book lamp box bell ring map stone coin hat letter".split()
