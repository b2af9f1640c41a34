"""COCO's 80 classes in Russian, with what agreement needs and what may honestly be asked about each.

`trust` says how far an annotation of the class can be relied on:
2  seldom missed and seldom taken for something else: it may be counted, and «нет» may be said where it is not annotated;
1  reliable where it is large: named and compared, never counted, never said to be absent;
0  often missed or drawn as a heap: only said to be there;
-1 one English class, several Russian words (a pickup is no «грузовик», a magazine no «книга», a tumbler no «чашка», a yacht
   no «лодка», a hob no «духовка»): never asked about, it only warns of what else may be there.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ruvlm.questions.grammar import Noun


@dataclass(frozen=True)
class PhotoKind:
    """A class: its English key, its noun with fixed adjectives, its group, and the classes it may be taken for."""

    key: str
    noun: Noun
    group: str
    trust: int
    adjectives: tuple[str, ...] = ()
    like: tuple[str, ...] = ()

    @property
    def living(self) -> bool:
        return self.group in ("person", "animal")

    @property
    def word(self) -> str:
        """The name as an answer gives it."""
        from ruvlm.questions.grammar import phrase

        return phrase(self.adjectives, self.noun)


def kinds_from(group: str, table: str) -> tuple[PhotoKind, ...]:
    """Rows of «key | name | gender, а animate, + plural only | trust | taken for»; the words before the noun are adjectives, in the masculine."""
    kinds = []
    for line in table.strip().splitlines():
        key, name, marks, trust, like = (part.strip() for part in (line + "|" * 4).split("|")[:5])
        gender = {"м": "masc", "ж": "femn", "с": "neut"}[marks[0]]
        *adjectives, noun = name.split(" ", name.count(" ")) if "*" not in name else (name.replace("*", " "),)
        kind = Noun(noun, gender, "а" in marks[1:], "+" in marks)
        others = tuple(other.strip() for other in like.split(",") if other.strip())
        kinds.append(PhotoKind(key, kind, group, int(trust), tuple(adjectives), others))
    return tuple(kinds)


# «*» joins words that do not change before each other: «доска*для сёрфинга»
_ALL = (
    *kinds_from("person", "person | человек | ма | 1"),
    *kinds_from(
        "transport",
        """
        bicycle | велосипед | м | 2 | motorcycle
        car | машина | ж | 0 | truck, bus, train
        motorcycle | мотоцикл | м | 2 | bicycle
        airplane | самолёт | м | 2 | kite
        bus | автобус | м | 2 | truck, train, car
        train | поезд | м | 2 | bus, truck, car
        truck | грузовик | м | -1 | car, bus, train
        boat | лодка | ж | -1 | surfboard
        """,
    ),
    *kinds_from(
        "street",
        """
        traffic light | светофор | м | 1 |
        fire hydrant | пожарный гидрант | м | 2 | parking meter
        stop sign | знак*«Стоп» | м | 2 |
        parking meter | парковочный автомат | м | 2 | fire hydrant
        bench | скамейка | ж | 1 | chair, couch
        """,
    ),
    *kinds_from(
        "animal",
        """
        bird | птица | жа | 1 |
        cat | кошка | жа | 2 | dog
        dog | собака | жа | 2 | cat
        horse | лошадь | жа | 2 | cow, sheep
        sheep | овца | жа | 2 | dog, cow, horse
        cow | корова | жа | 2 | horse, sheep
        elephant | слон | ма | 2 |
        bear | медведь | ма | 2 | teddy bear, dog
        zebra | зебра | жа | 2 | horse
        giraffe | жираф | ма | 2 |
        """,
    ),
    *kinds_from(
        "accessory",
        """
        backpack | рюкзак | м | 1 | handbag, suitcase
        umbrella | зонт | м | 2 | kite
        handbag | сумка | ж | 0 | backpack, suitcase
        tie | галстук | м | 1 |
        suitcase | чемодан | м | 1 | backpack, handbag
        """,
    ),
    *kinds_from(
        "sport",
        """
        frisbee | фрисби | с | 1 | sports ball
        skis | лыжи | ж+ | 2 | snowboard, surfboard
        snowboard | сноуборд | м | 2 | skis, skateboard, surfboard
        sports ball | мяч | м | 1 | frisbee
        kite | воздушный змей | ма | 2 | umbrella, airplane
        baseball bat | бейсбольный бита | ж | 1 | tennis racket
        baseball glove | бейсбольный перчатка | ж | 1 |
        skateboard | скейтборд | м | 2 | snowboard, surfboard
        surfboard | доска*для сёрфинга | ж | 2 | snowboard, skateboard, skis, boat
        tennis racket | теннисный ракетка | ж | 2 | baseball bat
        """,
    ),
    *kinds_from(
        "dishes",
        """
        bottle | бутылка | ж | 0 | vase
        wine glass | бокал | м | 1 | cup, vase
        cup | чашка | ж | -1 | wine glass, bowl, bottle
        fork | вилка | ж | 1 | spoon, knife
        knife | нож | м | 0 | fork, spoon
        spoon | ложка | ж | 0 | fork, knife
        bowl | миска | ж | 0 | cup, sink
        """,
    ),
    *kinds_from(
        "food",
        """
        banana | банан | м | 0 |
        apple | яблоко | с | 0 | orange
        sandwich | бутерброд | м | 1 | hot dog, pizza, cake
        orange | апельсин | м | 0 | apple
        broccoli | брокколи | ж | 1 |
        carrot | морковь | ж | 0 |
        hot dog | хот-дог | м | 1 | sandwich
        pizza | пицца | ж | 2 | cake, sandwich
        donut | пончик | м | 1 | cake
        cake | торт | м | 1 | donut, pizza, sandwich
        """,
    ),
    *kinds_from(
        "furniture",
        """
        chair | стул | м | 0 | couch, bench
        couch | диван | м | 1 | chair, bed, bench
        potted plant | растение*в горшке | с | 0 | vase
        bed | кровать | ж | 2 | couch
        dining table | стол | м | 0 |
        toilet | унитаз | м | 2 | sink
        """,
    ),
    *kinds_from(
        "device",
        """
        tv | экран | м | 1 | laptop
        laptop | ноутбук | м | 2 | tv, keyboard
        mouse | компьютерный мышь | ж | 1 |
        remote | пульт | м | 1 | cell phone
        keyboard | клавиатура | ж | 1 | laptop
        cell phone | телефон | м | 1 | remote
        microwave | микроволновка | ж | 2 | oven
        oven | духовка | ж | -1 | microwave
        toaster | тостер | м | 1 |
        sink | раковина | ж | 1 | toilet, bowl
        refrigerator | холодильник | м | 2 |
        """,
    ),
    *kinds_from(
        "thing",
        """
        book | книга | ж | -1 |
        clock | часы | м+ | 1 |
        vase | ваза | ж | 1 | bottle, potted plant
        scissors | ножницы | ж+ | 1 |
        teddy bear | плюшевый мишка | ма | 2 | bear
        hair drier | фен | м | 1 |
        toothbrush | зубной щётка | ж | 1 |
        """,
    ),
)
COCO: MappingProxyType[str, PhotoKind] = MappingProxyType({kind.key: kind for kind in _ALL})
# what a group is called in a question, with «какой» in agreement
GROUP_QUESTIONS: MappingProxyType[str, str] = MappingProxyType(
    {"animal": "Какое животное", "transport": "Какой транспорт"}
)
