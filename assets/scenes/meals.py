"""The list of meals: which scene, and how the picture is described to people who cannot see it."""

from collections.abc import Callable
from dataclasses import dataclass

from . import fresh, savoury, sweet


@dataclass(frozen=True)
class Meal:
    """One example picture; its key in `MEALS` is the Food-101 class."""

    cook: Callable[[], None]
    alt: str

    def row(self, name: str) -> dict[str, str]:
        """The entry of examples.json."""
        title = name.replace("_", " ").capitalize()
        return {"file": f"{name}.jpg", "class": name, "title": title, "alt": self.alt}


MEALS = {
    "donuts": Meal(sweet.donuts, "Four iced donuts with sprinkles on a white plate on a wooden table."),
    "pizza": Meal(savoury.pizza, "A pepperoni pizza with basil leaves on a round wooden board."),
    "sushi": Meal(
        fresh.sushi, "Four maki rolls and three salmon nigiri on a slate plate, with wasabi and pickled ginger."
    ),
    "pancakes": Meal(sweet.pancakes, "A stack of six pancakes with butter, running syrup and blueberries."),
    "hamburger": Meal(
        savoury.hamburger, "A cheeseburger with lettuce and tomato in a sesame bun, with fries behind it."
    ),
    "caprese_salad": Meal(fresh.caprese_salad, "Slices of tomato and mozzarella laid in a ring with basil leaves."),
    "french_fries": Meal(savoury.french_fries, "A bowl of french fries and a cup of ketchup on a dark wooden table."),
    "miso_soup": Meal(fresh.miso_soup, "A black bowl of miso soup with tofu cubes, seaweed and spring onion."),
    "macarons": Meal(sweet.macarons, "A heap of pink, green, cream, violet and brown macarons on a grey plate."),
    "spaghetti_bolognese": Meal(
        savoury.spaghetti_bolognese, "A plate of spaghetti under meat sauce with parmesan and basil."
    ),
    "edamame": Meal(fresh.edamame, "A dark bowl heaped with green edamame pods sprinkled with salt."),
    "deviled_eggs": Meal(
        fresh.deviled_eggs, "Seven deviled eggs with piped yolk, paprika and chives on a white plate."
    ),
}
