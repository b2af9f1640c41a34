"""Visual Genome's words in Russian: names of things, colours, materials, relations. What is not here is never asked about."""

from __future__ import annotations

from types import MappingProxyType

from ruvlm.photos.names import COCO, PhotoKind, kinds_from

# Visual Genome's annotations are not exhaustive: nothing is counted or said to be absent, so trust is 1 throughout
_MORE = (
    *kinds_from(
        "person",
        """
        man | мужчина | ма | 1 | person, guy, player, boy, worker, driver
        woman | женщина | жа | 1 | person, lady, player, girl
        boy | мальчик | ма | 1 | person, child, man, kid
        girl | девочка | жа | 1 | person, child, woman, lady, kid
        lady | женщина | жа | 1 | person, woman, girl
        guy | мужчина | ма | 1 | person, man, boy
        """,
    ),
    *kinds_from(
        "clothes",
        """
        shirt | рубашка | ж | 1 | t-shirt, jacket, sweater, blouse, jersey, coat
        jacket | куртка | ж | 1 | shirt, coat, sweater, vest
        hat | шляпа | ж | 1 | cap, helmet
        cap | кепка | ж | 1 | hat, helmet
        helmet | шлем | м | 1 | hat, cap
        dress | платье | с | 1 | skirt, shirt
        skirt | юбка | ж | 1 | dress, shorts
        pants | брюки | м+ | 1 | jeans, shorts
        jeans | джинсы | м+ | 1 | pants, shorts
        shorts | шорты | м+ | 1 | pants, jeans, skirt
        sweater | свитер | м | 1 | shirt, jacket
        coat | пальто | с | 1 | jacket
        scarf | шарф | м | 1 | tie
        glasses | очки | м+ | 1 | sunglasses
        """,
    ),
    *kinds_from(
        "thing",
        """
        tree | дерево | с | 1 | bush, plant
        fence | забор | м | 1 | wall, railing
        building | здание | с | 1 | house, tower
        house | дом | м | 1 | building
        door | дверь | ж | 1 | gate
        window | окно | с | 1 |
        flag | флаг | м | 1 |
        lamp | лампа | ж | 1 | light
        pillow | подушка | ж | 1 | cushion
        curtain | занавеска | ж | 1 | blinds
        plate | тарелка | ж | 1 | bowl, dish
        basket | корзина | ж | 1 |
        ball | мяч | м | 1 |
        phone | телефон | м | 1 | cell phone, remote
        table | стол | м | 1 | desk, counter, dining table
        box | коробка | ж | 1 |
        bag | сумка | ж | 1 | backpack, purse, handbag
        racket | ракетка | ж | 1 | bat
        cabinet | шкаф | м | 1 | cupboard, drawer
        mirror | зеркало | с | 1 |
        carpet | ковёр | м | 1 | rug
        rug | ковёр | м | 1 | carpet
        """,
    ),
)
NAMES: MappingProxyType[str, PhotoKind] = MappingProxyType(
    {
        **{kind.key: kind for kind in COCO.values() if kind.trust >= 0},
        **{kind.key: kind for kind in _MORE},
    }
)
COLOURS: MappingProxyType[str, str] = MappingProxyType(
    {
        "red": "красный",
        "blue": "синий",
        "green": "зелёный",
        "yellow": "жёлтый",
        "white": "белый",
        "black": "чёрный",
        "brown": "коричневый",
        "orange": "оранжевый",
        "pink": "розовый",
        "purple": "фиолетовый",
        "gray": "серый",
        "grey": "серый",
    }
)
# colours that honest people confuse: one is never the wrong option beside the other, nor a «нет» to it
CONFUSED: MappingProxyType[str, frozenset[str]] = MappingProxyType(
    {
        "красный": frozenset({"оранжевый", "розовый", "коричневый"}),
        "синий": frozenset({"фиолетовый", "чёрный", "серый"}),
        "зелёный": frozenset({"серый"}),
        "жёлтый": frozenset({"оранжевый", "белый", "коричневый"}),
        "белый": frozenset({"серый", "жёлтый"}),
        "чёрный": frozenset({"синий", "серый", "коричневый"}),
        "коричневый": frozenset({"красный", "чёрный", "оранжевый", "серый", "жёлтый"}),
        "оранжевый": frozenset({"красный", "жёлтый", "коричневый"}),
        "розовый": frozenset({"красный", "фиолетовый"}),
        "фиолетовый": frozenset({"синий", "розовый"}),
        "серый": frozenset({"белый", "чёрный", "синий", "зелёный", "коричневый"}),
    }
)
MATERIALS: MappingProxyType[str, str] = MappingProxyType(
    {
        "wooden": "дерево",
        "wood": "дерево",
        "metal": "металл",
        "glass": "стекло",
        "plastic": "пластик",
        "leather": "кожа",
        "brick": "кирпич",
        "stone": "камень",
    }
)
RELATIONS: MappingProxyType[str, str] = MappingProxyType(
    {"wearing": "wears", "holding": "holds", "carrying": "holds", "riding": "rides", "riding on": "rides"}
)
