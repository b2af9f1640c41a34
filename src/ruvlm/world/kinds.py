"""What can stand in a scene: one line a kind (key, Russian word, gender, category, drawing).

A drawing is a list of strokes in the kind's own unit box, x to the right and y down, painted in order:

    E pen x0 y0 x1 y1        ellipse            R pen x0 y0 x1 y1   rectangle
    P pen x y x y x y …      polygon            L pen w x y x y …   line of width w
    A pen x0 y0 x1 y1 a b    pie slice from angle a to b, degrees clockwise from east

Pens: `c` the object's own colour, `d` a darker and `l` a lighter shade of it, other letters as in palette.PENS.
An upper-case operation is outlined, a lower-case one is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

Gender = Literal["masc", "femn", "neut"]
Category = Literal[
    "person", "animal", "transport", "furniture", "food", "dishes", "device", "toy", "tool", "nature", "building", "thing"
]

CATEGORY_WORDS: MappingProxyType[str, str] = MappingProxyType(
    {
        "animal": "животное",
        "transport": "транспорт",
        "furniture": "предмет мебели",
        "food": "еда",
        "dishes": "посуда",
        "device": "устройство",
        "tool": "инструмент",
        "toy": "игрушка",
    }
)


@dataclass(frozen=True)
class Stroke:
    """One painted shape; `points` are in the unit box except a line's width and a slice's angles."""

    operation: str
    pen: str
    outlined: bool
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of object. `aspect` is width over height; `holdable` fits into a hand; `mini` is drawn at 64 px too.

    `colours` limits what it is painted in; a `natural` thing has no one colour to ask about.
    """

    key: str
    word: str
    gender: Gender
    category: Category
    drawing: str
    aspect: float = 1.0
    holdable: bool = False
    mini: bool = False
    colours: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    natural: bool = False

    @property
    def person(self) -> bool:
        return self.category == "person"

    @property
    def living(self) -> bool:
        """Asked for with «кто», not «что»."""
        return self.category in ("person", "animal")

    @property
    def animate(self) -> bool:
        """Grammatically animate: the accusative of снеговик is «снеговика»."""
        return self.living or self.key in ("robot", "snowman", "doll")

    @property
    def coloured(self) -> bool:
        """People have clothes of some colour, not a colour; a slice of watermelon has several."""
        return not self.person and not self.natural


@dataclass(frozen=True)
class Garment:
    """Something worn. `body` garments exclude one another; `wearers` are person keys."""

    key: str
    word: str
    gender: Gender
    wearers: tuple[str, ...]
    body: bool = False


@cache
def strokes(drawing: str) -> tuple[Stroke, ...]:
    """Parse a drawing. Raises ValueError on an unknown operation."""
    parsed = []
    for part in filter(None, (piece.strip() for piece in drawing.split(";"))):
        operation, pen, *numbers = part.split()
        if operation.upper() not in "ERPLA" or len(operation) != 1:
            raise ValueError(f"unknown stroke {part!r}")
        parsed.append(Stroke(operation.upper(), pen, operation.isupper(), tuple(map(float, numbers))))
    return tuple(parsed)


_WOOD = ("wood", "metal")
_DISH = ("glass", "metal")

_MINI = (
    Kind("man", "мужчина", "masc", "person", "", 0.55, mini=True),
    Kind("woman", "женщина", "femn", "person", "", 0.55, mini=True),
    Kind("boy", "мальчик", "masc", "person", "", 0.58, mini=True),
    Kind("girl", "девочка", "femn", "person", "", 0.58, mini=True),
    Kind("cat", "кошка", "femn", "animal", "L c .09 .8 .75 .97 .6 .93 .4;E c .12 .5 .84 1;P c .1 .05 .3 .2 .1 .4;P c .6 .05 .4 .2 .6 .4;E c .04 .12 .66 .62;e k .18 .3 .27 .42;e k .43 .3 .52 .42;p p .3 .44 .4 .44 .35 .5", mini=True),
    Kind("dog", "собака", "femn", "animal", "L c .09 .85 .5 1 .28;R c .24 .72 .36 1;R c .74 .72 .86 1;E c .2 .42 .92 .82;E c .02 .14 .48 .58;E d .3 .12 .5 .54;E k 0 .32 .14 .44;e k .17 .24 .25 .34", 1.1, mini=True),
    Kind("bird", "птица", "femn", "animal", "P c .7 .5 1 .3 1 .62;E c .14 .3 .82 .8;E c .06 .1 .46 .5;P y 0 .28 .12 .22 .12 .38;e k .18 .2 .27 .3;P d .4 .46 .78 .42 .6 .7;l y .05 .42 .8 .42 1;l y .05 .56 .8 .56 1", mini=True),
    Kind("fish", "рыба", "femn", "animal", "P c .68 .5 1 .16 1 .84;P d .35 .26 .6 .02 .66 .3;E c 0 .18 .78 .82;e w .12 .34 .28 .5;e k .16 .38 .24 .47;l d .04 .36 .3 .44 .5 .36 .7", 1.35, mini=True),
    Kind("car", "машина", "femn", "transport", "P c .18 .45 .32 .1 .7 .1 .84 .45;R c 0 .42 1 .78;p u .28 .42 .37 .18 .48 .18 .48 .42;p u .53 .42 .53 .18 .66 .18 .75 .42;E k .12 .6 .36 1;E k .64 .6 .88 1;e g .2 .72 .28 .88;e g .72 .72 .8 .88", 1.6, mini=True),
    Kind("bus", "автобус", "masc", "transport", "R c 0 0 1 .84;r u .06 .14 .24 .42;r u .29 .14 .47 .42;r u .52 .14 .7 .42;r u .76 .14 .94 .6;E k .14 .68 .34 1;E k .64 .68 .84 1", 1.45, mini=True),
    Kind("boat", "лодка", "femn", "transport", "L b .06 .5 .7 .5 0;P w .54 .04 .54 .56 .92 .56;P g .46 .14 .46 .56 .16 .56;P c 0 .64 1 .64 .82 1 .18 1", 1.15, mini=True),
    Kind("chair", "стул", "masc", "furniture", "R c .16 0 .3 1;R c .16 .5 .84 .64;R c .7 .56 .84 1;R c .3 .06 .42 .16;R c .16 0 .62 .12;R c .5 0 .62 .5;r d .16 .26 .62 .34", 0.75, mini=True, materials=_WOOD),
    Kind("table", "стол", "masc", "furniture", "R c .1 .2 .22 1;R c .78 .2 .9 1;R c 0 .1 1 .32", 1.35, mini=True, materials=_WOOD),
    Kind("cabinet", "шкаф", "masc", "furniture", "R c .05 0 .95 .94;r d .48 0 .52 .94;r d .05 .3 .95 .34;e y .36 .5 .44 .58;e y .56 .5 .64 .58;R k .1 .94 .24 1;R k .76 .94 .9 1", 0.8, mini=True, materials=_WOOD),
    Kind("ball", "мяч", "masc", "toy", "E c 0 0 1 1;l w .07 .06 .5 .5 .36 .94 .5;l w .07 .5 .02 .5 .98", 1.0, True, True),
    Kind("cup", "чашка", "femn", "dishes", "E g .62 .2 1 .74;e w .72 .32 .9 .62;P c .04 .08 .8 .08 .7 .96 .14 .96;E d .04 0 .8 .2", 1.1, True, True, materials=_DISH),
    Kind("book", "книга", "femn", "thing", "P w .06 .12 .5 .2 .94 .12 .94 .9 .5 .98 .06 .9;P c 0 .06 .46 .16 .46 .96 0 .86;P c 1 .06 .54 .16 .54 .96 1 .86;l w .05 .1 .34 .36 .4;l w .05 .64 .4 .9 .34", 1.25, True, True),
    Kind("tree", "дерево", "neut", "nature", "R b .42 .6 .58 1;E c .02 .25 .6 .72;E c .4 .25 .98 .72;E c .18 0 .82 .6", 0.85, mini=True),
    Kind("house", "дом", "masc", "building", "R c .1 .42 .9 1;P b 0 .46 .5 0 1 .46;r u .2 .56 .42 .78;R h .58 .6 .78 1", 1.0, mini=True),
    Kind("umbrella", "зонт", "masc", "thing", "L k .05 .5 .1 .5 .9 .62 .96 .68 .86;A c 0 0 1 1.1 180 360;l d .03 .5 .02 .34 .55;l d .03 .5 .02 .66 .55", 1.0, True, True),
)

_FULL = (
    Kind("doctor", "врач", "masc", "person", "", 0.55),
    Kind("cook", "повар", "masc", "person", "", 0.55),
    Kind("builder", "строитель", "masc", "person", "", 0.55),
    Kind("police_officer", "полицейский", "masc", "person", "", 0.55),
    Kind("cow", "корова", "femn", "animal", "L k .04 .95 .4 1 .75;R c .24 .6 .36 1;R c .74 .6 .86 1;E c .14 .26 .95 .76;E c 0 .1 .34 .5;P w .05 .12 .02 0 .12 .08;P w .25 .12 .3 0 .2 .08;e k .45 .34 .65 .52;e k .7 .5 .84 .64;E p 0 .34 .24 .52;e k .1 .2 .16 .28", 1.35, colours=("white", "black", "orange")),
    Kind("horse", "лошадь", "femn", "animal", "L h .07 .92 .42 1 .8;R c .26 .6 .36 1;R c .76 .6 .86 1;E c .2 .36 .94 .74;P c .16 .1 .36 .2 .46 .6 .24 .64;E c 0 .06 .3 .32;l h .08 .26 .06 .42 .44;e k .12 .12 .17 .2", 1.2, colours=("white", "black", "orange")),
    Kind("hare", "заяц", "masc", "animal", "E c .3 0 .42 .42;E c .5 0 .62 .42;E c .2 .5 .82 1;E c .24 .28 .7 .66;e k .34 .4 .42 .5;e k .52 .4 .6 .5;e p .43 .5 .51 .57;E w .74 .78 .92 .96", 0.8, colours=("white", "orange", "black")),
    Kind("bear", "медведь", "masc", "animal", "E c .12 .42 .88 1;E c .14 .02 .34 .22;E c .66 .02 .86 .22;E c .16 .06 .84 .56;E l .34 .28 .66 .52;e k .3 .2 .38 .3;e k .62 .2 .7 .3;e k .44 .3 .56 .38;E l .32 .58 .68 .92", 0.9, colours=("white", "black", "orange")),
    Kind("duck", "утка", "femn", "animal", "E c .2 .44 1 .96;E c .06 .04 .5 .46;P r 0 .24 .1 .18 .1 .34;e k .18 .14 .26 .24;P d .46 .6 .92 .56 .72 .82;p c .86 .5 1 .3 1 .64", 1.15, colours=("yellow", "white", "green")),
    Kind("turtle", "черепаха", "femn", "animal", "E n 0 .36 .26 .62;R n .26 .72 .4 1;R n .68 .72 .82 1;A c .14 .1 .96 1.3 180 360;l d .04 .4 .24 .5 .7;l d .04 .7 .24 .6 .7;e k .06 .42 .12 .5", 1.4),
    Kind("snail", "улитка", "femn", "animal", "P y 0 .82 .1 .5 .24 .5 .26 .8 1 .82 1 1 0 1;L y .04 .1 .5 .04 .3;L y .04 .2 .5 .24 .3;E c .3 .1 .94 .86;E l .44 .26 .8 .7;E c .54 .4 .7 .58", 1.25),
    Kind("butterfly", "бабочка", "femn", "animal", "E c 0 0 .5 .56;E c .5 0 1 .56;E d .1 .46 .5 1;E d .5 .46 .9 1;E k .44 .14 .56 .9;e w .14 .16 .32 .36;e w .68 .16 .86 .36", 1.1),
    Kind("pig", "свинья", "femn", "animal", "R c .26 .74 .38 1;R c .7 .74 .82 1;E c .12 .3 .94 .86;E c 0 .2 .44 .66;P c .08 .24 .1 .04 .24 .2;E r .02 .4 .18 .56;e k .2 .32 .27 .42", 1.25, colours=("white", "black", "orange")),
    Kind("elephant", "слон", "masc", "animal", "R c .3 .6 .46 1;R c .74 .6 .9 1;E c .24 .16 1 .82;E c .04 .06 .46 .6;L c .14 .1 .4 .08 .7 .14 .94;E d .3 .12 .54 .56;e k .14 .22 .2 .3", 1.25, colours=("blue", "white", "black")),
    Kind("snake", "змея", "femn", "animal", "L c .16 .08 .9 .3 .62 .52 .9 .74 .6 .9 .36;E c .74 .1 1 .42;e k .86 .2 .92 .28", 1.5),
    Kind("truck", "грузовик", "masc", "transport", "R g 0 .08 .62 .76;P c .64 .28 .86 .28 1 .52 1 .78 .64 .78;p u .7 .34 .84 .34 .92 .52 .7 .52;E k .1 .62 .34 1;E k .7 .62 .94 1", 1.5),
    Kind("train", "поезд", "masc", "transport", "R c .3 .3 1 .78;R c 0 .02 .4 .78;r u .08 .12 .32 .4;R k .76 .04 .88 .3;E k .04 .66 .28 1;E k .36 .66 .6 1;E k .7 .66 .94 1", 1.4),
    Kind("plane", "самолёт", "masc", "transport", "P c .04 .08 .24 .4 .04 .46;E c .02 .34 1 .64;P d .4 .52 .66 .52 .4 1;e u .78 .4 .88 .5;e u .6 .4 .7 .5;e u .42 .4 .52 .5", 1.5),
    Kind("bicycle", "велосипед", "masc", "transport", "E k 0 .4 .42 1;e w .06 .48 .36 .92;E k .58 .4 1 1;e w .64 .48 .94 .92;L c .06 .2 .7 .36 .3 .7 .3 .8 .7;L c .06 .36 .3 .5 .7 .7 .3;L k .05 .28 .22 .44 .22;L k .05 .68 .14 .8 .14", 1.5),
    Kind("rocket", "ракета", "femn", "transport", "P y .34 .84 .66 .84 .5 1;P d .3 .5 .04 .88 .32 .84;P d .7 .5 .96 .88 .68 .84;P c .5 0 .74 .3 .7 .86 .3 .86 .26 .3;E u .38 .3 .62 .54", 0.6),
    Kind("ship", "корабль", "masc", "transport", "R w .26 .36 .76 .62;R r .4 .1 .52 .36;e u .32 .42 .42 .54;e u .48 .42 .58 .54;P c 0 .6 1 .6 .84 1 .16 1", 1.5),
    Kind("tram", "трамвай", "masc", "transport", "L k .04 .4 .16 .5 0 .6 .16;R c .04 .14 .96 .86;r u .1 .26 .3 .54;r u .38 .26 .6 .54;r w .68 .24 .88 .84;E k .14 .78 .32 1;E k .66 .78 .84 1", 1.35),
    Kind("bed", "кровать", "femn", "furniture", "R c 0 .1 .12 1;R c .88 .4 1 1;R c .1 .62 .9 .86;R w .1 .46 .9 .66;R w .14 .34 .36 .5", 1.6, materials=_WOOD),
    Kind("sofa", "диван", "masc", "furniture", "R c .1 0 .9 .6;R c 0 .3 .2 .9;R c .8 .3 1 .9;R d .18 .5 .82 .86;R k .08 .9 .16 1;R k .84 .9 .92 1", 1.6, materials=("fabric",)),
    Kind("armchair", "кресло", "neut", "furniture", "R c .16 0 .84 .66;R c 0 .36 .24 .9;R c .76 .36 1 .9;R d .22 .54 .78 .88;R k .08 .9 .2 1;R k .8 .9 .92 1", 1.0, materials=("fabric",)),
    Kind("shelf", "полка", "femn", "furniture", "R c 0 .1 1 .24;R c 0 .78 1 .92;R c 0 .1 .08 .92;R c .92 .1 1 .92;R r .16 .4 .24 .78;R n .26 .36 .34 .78;R y .38 .44 .46 .78", 1.4, materials=_WOOD),
    Kind("bench", "скамейка", "femn", "furniture", "R k .1 .5 .18 1;R k .82 .5 .9 1;R c 0 .5 1 .66;R c 0 .06 1 .2;R c 0 .28 1 .4", 1.6, materials=_WOOD),
    Kind("apple", "яблоко", "neut", "food", "L b .06 .5 .24 .56 0;E c .04 .18 .6 1;E c .4 .18 .96 1;e c .2 .24 .8 .96;P n .56 .1 .8 0 .74 .18", 0.95, True, colours=("red", "green", "yellow")),
    Kind("pear", "груша", "femn", "food", "L b .06 .5 .2 .54 0;E c .28 .14 .72 .6;E c .06 .4 .94 1;e c .3 .3 .7 .7;P n .54 .1 .82 .02 .74 .18", 0.75, True, colours=("green", "yellow", "orange")),
    Kind("banana", "банан", "masc", "food", "P c .04 .1 .16 .06 .3 .5 .6 .74 .96 .72 .96 .86 .6 1 .2 .82 .04 .4;P k .04 .1 .06 0 .14 0 .16 .08", 1.1, True, colours=("yellow", "green")),
    Kind("carrot", "морковь", "femn", "food", "P n .4 .24 .2 0 .44 .1 .5 0 .56 .1 .8 0 .6 .24;P c .24 .22 .76 .22 .5 1", 0.6, True, colours=("orange",)),
    Kind("cake", "торт", "masc", "food", "L r .06 .5 .2 .5 .04;R l .06 .2 .94 .52;R c .06 .46 .94 .96;E w 0 .86 1 1;e r .14 .24 .26 .36;e r .44 .24 .56 .36;e r .74 .24 .86 .36", 1.2),
    Kind("watermelon", "арбуз", "masc", "food", "A n 0 -.7 1 1 0 180;A r .07 -.56 .93 .88 0 180;e k .3 .3 .37 .44;e k .5 .4 .57 .54;e k .66 .26 .73 .4", 1.5, natural=True),
    Kind("cheese", "сыр", "masc", "food", "P y 0 .56 .9 .06 1 .5 0 .62;P y 0 .56 1 .5 1 .94 0 .94;e b .2 .66 .36 .84;e b .6 .6 .78 .8", 1.35, natural=True),
    Kind("mushroom", "гриб", "masc", "nature", "P w .36 .44 .64 .44 .7 1 .3 1;A c 0 0 1 1.1 180 360;e w .2 .24 .34 .38;e w .56 .12 .7 .26;e w .7 .34 .82 .46", 1.0, True),
    Kind("flower", "цветок", "masc", "nature", "L n .07 .5 .5 .5 1;P n .5 .84 .84 .64 .56 .92;E c .36 0 .64 .28;E c .1 .14 .4 .44;E c .6 .14 .9 .44;E c .2 .38 .5 .66;E c .5 .38 .8 .66;E y .36 .24 .64 .5", 0.7, True),
    Kind("cactus", "кактус", "masc", "nature", "R n .36 .04 .64 .72;R n .1 .26 .24 .52;R n .1 .44 .4 .54;R n .76 .16 .9 .44;R n .6 .36 .9 .46;P c .22 .7 .78 .7 .7 1 .3 1", 0.75),
    Kind("bush", "куст", "masc", "nature", "E c 0 .3 .5 1;E c .5 .3 1 1;E c .2 0 .8 .9;e r .3 .3 .38 .38;e r .6 .4 .68 .48;e r .44 .6 .52 .68", 1.3, colours=("green",)),
    Kind("stone", "камень", "masc", "nature", "P g .06 .9 0 .56 .26 .2 .6 .1 .92 .36 1 .86;l w .04 .3 .36 .5 .26", 1.35, natural=True),
    Kind("vase", "ваза", "femn", "dishes", "P c .32 0 .68 0 .62 .2 .94 .56 .68 1 .32 1 .06 .56 .38 .2;l l .05 .14 .56 .86 .56", 0.7, materials=_DISH),
    Kind("bottle", "бутылка", "femn", "dishes", "R b .4 0 .6 .1;P c .4 .1 .6 .1 .6 .34 .84 .48 .84 1 .16 1 .16 .48 .4 .34;R w .2 .6 .8 .84", 0.45, True, materials=_DISH),
    Kind("plate", "тарелка", "femn", "dishes", "E c 0 .1 1 .9;E l .2 .26 .8 .74", 1.7, materials=_DISH),
    Kind("kettle", "чайник", "masc", "dishes", "L k .07 .26 .3 .3 .06 .7 .06 .74 .3;P c 0 .38 .1 .34 .3 .66 .3 .8;E c .18 .28 .94 1;R k .48 .2 .62 .3", 1.15, materials=("metal",)),
    Kind("spoon", "ложка", "femn", "dishes", "E c .2 0 .8 .36;R c .42 .34 .58 1", 0.35, True, materials=_WOOD),
    Kind("pan", "кастрюля", "femn", "dishes", "R k 0 .4 .14 .52;R k .86 .4 1 .52;R c .12 .3 .88 .96;E d .12 .2 .88 .42;E k .44 .1 .56 .24", 1.3, materials=("metal",)),
    Kind("phone", "телефон", "masc", "device", "R c .1 0 .9 1;R u .18 .12 .82 .78;E w .42 .84 .58 .94", 0.55, True),
    Kind("computer", "компьютер", "masc", "device", "R c .08 0 .92 .66;R u .16 .08 .84 .58;R c .42 .66 .58 .8;R c .02 .82 .98 1", 1.2),
    Kind("tv", "телевизор", "masc", "device", "L k .03 .5 .2 .28 0;L k .03 .5 .2 .72 0;R c 0 .18 1 .88;R u .08 .26 .74 .8;e w .8 .34 .92 .46;e w .8 .56 .92 .68;R k .16 .88 .26 1;R k .74 .88 .84 1", 1.25),
    Kind("lamp", "лампа", "femn", "device", "R b .46 .4 .54 .9;P c .26 0 .74 0 1 .46 0 .46;E b .24 .86 .76 1", 0.7),
    Kind("camera", "фотоаппарат", "masc", "device", "R c .3 .04 .66 .3;R c 0 .2 1 1;E k .26 .3 .74 .92;E u .36 .42 .64 .8;e y .82 .28 .92 .4", 1.3, True),
    Kind("drum", "барабан", "masc", "toy", "R c .06 .24 .94 .82;E c .06 .68 .94 1;E w .06 .04 .94 .4;l y .04 .1 .4 .34 .8 .56 .4 .78 .8 .92 .4", 1.1),
    Kind("doll", "кукла", "femn", "toy", "E h .22 0 .78 .5;E s .28 .08 .72 .48;P c .4 .46 .6 .46 .9 .92 .1 .92;l s .06 .4 .56 .1 .66;l s .06 .6 .56 .9 .66;e k .38 .24 .44 .3;e k .56 .24 .62 .3", 0.6, True),
    Kind("robot", "робот", "masc", "toy", "L k .04 .5 .1 .5 0;R c .22 .08 .78 .4;R c .14 .44 .86 .84;R g .24 .84 .42 1;R g .58 .84 .76 1;e y .32 .18 .44 .3;e y .56 .18 .68 .3;r w .3 .54 .7 .72", 0.75, materials=("metal",)),
    Kind("cube", "кубик", "masc", "toy", "P c 0 .3 .66 .3 .66 1 0 1;P l 0 .3 .34 0 1 0 .66 .3;P d .66 .3 1 0 1 .7 .66 1", 1.0, True, materials=_WOOD),
    Kind("hammer", "молоток", "masc", "tool", "R b .44 .3 .58 1;R c .14 .04 .84 .34", 0.75, True, materials=("metal",)),
    Kind("axe", "топор", "masc", "tool", "R b .5 0 .64 1;P c .56 .08 .56 .44 .1 .54 .02 .2", 0.75, True),
    Kind("shovel", "лопата", "femn", "tool", "R b .44 .04 .56 .6;R b .3 0 .7 .08;P c .2 .56 .8 .56 .76 .86 .5 1 .24 .86", 0.45, True),
    Kind("bucket", "ведро", "neut", "tool", "L k .05 .1 .24 .5 0 .9 .24;P c .06 .24 .94 .24 .78 1 .22 1;E d .06 .14 .94 .36", 0.9, True, materials=("metal",)),
    Kind("pencil", "карандаш", "masc", "thing", "R r .3 0 .7 .12;R c .3 .1 .7 .74;P s .3 .74 .7 .74 .5 1;p k .44 .9 .56 .9 .5 1", 0.25, True),
    Kind("bag", "сумка", "femn", "thing", "L c .07 .24 .4 .3 .06 .7 .06 .76 .4;P c .08 .36 .92 .36 1 1 0 1;r y .42 .5 .58 .62", 1.05, True, materials=("fabric",)),
    Kind("suitcase", "чемодан", "masc", "thing", "L k .06 .36 .24 .36 .06 .64 .06 .64 .24;R c 0 .2 1 1;r d .2 .2 .26 1;r d .74 .2 .8 1", 1.2),
    Kind("key", "ключ", "masc", "thing", "E c 0 .1 .44 .9;e w .12 .34 .3 .66;R c .4 .4 1 .58;R c .76 .56 .84 .84;R c .9 .56 .98 .8", 2.0, True, materials=("metal",)),
    Kind("flag", "флаг", "masc", "thing", "R b .08 0 .18 1;P c .18 .06 .98 .1 .8 .34 .98 .58 .18 .56", 0.85, True),
    Kind("candle", "свеча", "femn", "thing", "E y .36 0 .64 .28;l k .05 .5 .2 .5 .34;R c .26 .32 .74 .94;E g .06 .88 .94 1", 0.5, True),
    Kind("guitar", "гитара", "femn", "thing", "R b .43 0 .57 .5;E c .2 .36 .8 .72;E c .08 .54 .92 1;E k .36 .58 .64 .76", 0.5),
    Kind("box", "коробка", "femn", "thing", "R c .04 .3 .96 1;P l .04 .3 .2 .06 .8 .06 .96 .3;r y .42 .3 .58 .6", 1.1),
    Kind("clock", "будильник", "masc", "thing", "L k .08 .24 .86 .14 1;L k .08 .76 .86 .86 1;E c .06 0 .44 .3;E c .56 0 .94 .3;E c .06 .1 .94 .94;E w .18 .22 .82 .82;l k .05 .5 .3 .5 .52 .68 .6", 0.95),
    Kind("tower", "башня", "femn", "building", "P c .2 .3 .8 .3 .88 1 .12 1;R c .1 .14 .9 .32;P b .06 .16 .5 0 .94 .16;r u .42 .42 .58 .6;R h .4 .76 .6 1", 0.55),
    Kind("tent", "палатка", "femn", "building", "P c .5 0 1 1 0 1;P h .5 .4 .68 1 .32 1", 1.25),
    Kind("fence", "забор", "masc", "building", "R c 0 .3 1 .42;R c 0 .68 1 .8;P c .06 .14 .14 0 .22 .14 .22 1 .06 1;P c .42 .14 .5 0 .58 .14 .58 1 .42 1;P c .78 .14 .86 0 .94 .14 .94 1 .78 1", 1.3, materials=("wood",)),
    Kind("snowman", "снеговик", "masc", "toy", "E w .12 .5 .88 1;E w .22 .22 .78 .6;E w .32 0 .68 .3;e k .42 .1 .47 .15;e k .54 .1 .59 .15;P c .5 .16 .8 .2 .5 .22;l b .05 .24 .4 .02 .26;l b .05 .76 .4 .98 .26", 0.7, colours=("white",)),
)

GARMENTS: MappingProxyType[str, Garment] = MappingProxyType(
    {
        garment.key: garment
        for garment in (
            Garment("shirt", "рубашка", "femn", ("man", "woman", "boy", "girl"), body=True),
            Garment("dress", "платье", "neut", ("woman", "girl"), body=True),
            Garment("coat", "пальто", "neut", ("man", "woman", "boy", "girl"), body=True),
            Garment("hat", "шляпа", "femn", ("man", "woman", "boy", "girl")),
            Garment("scarf", "шарф", "masc", ("man", "woman", "boy", "girl")),
        )
    }
)
KINDS: MappingProxyType[str, Kind] = MappingProxyType({kind.key: kind for kind in (*_MINI, *_FULL)})
SIZES: MappingProxyType[str, str] = MappingProxyType({"large": "большой", "small": "маленький"})
PLACES: MappingProxyType[str, str] = MappingProxyType({"room": "комната", "field": "поле", "beach": "пляж"})


@cache
def kinds_of(level: str) -> tuple[Kind, ...]:
    """The kinds drawn at a level; full has everything mini has."""
    return tuple(kind for kind in KINDS.values() if kind.mini or level == "full")
