"""How fast mini scenes are made on one core: sampled, drawn, encoded as PNG; and with their questions.

python bench/world_speed.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import random
import time

from ruvlm.questions.balance import Balancer
from ruvlm.world.export import WORLD_VERSION, entries_of
from ruvlm.world.forms.asker import Asker
from ruvlm.world.render import png, render
from ruvlm.world.scene import SceneSampler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    count = 500 if parser.parse_args().quick else 3000
    figures = {}
    for level in ("mini", "full"):
        sampler, rng = SceneSampler(level), random.Random(0)
        scenes = [sampler.sample(str(n), rng) for n in range(100)]  # warm: fonts, sprites
        for scene in scenes:
            render(scene)
        started = time.process_time()
        size = 0
        for number in range(count):
            scene = sampler.sample(str(number), rng)
            size += len(png(render(scene)))
        figures[f"{level}_scenes_per_second"] = round(count / (time.process_time() - started))
        balancer = Balancer(entries_of(level), rng)
        balancer.ask(Asker(scenes[0], rng, False, WORLD_VERSION), 24, {})
        started = time.process_time()
        asked = sum(len(balancer.ask(Asker(scene, rng, False, WORLD_VERSION), 24, {})) for scene in scenes)
        figures[f"{level}_questions_per_second"] = round(asked / (time.process_time() - started))
        print(
            f"{level}: {figures[f'{level}_scenes_per_second']} сцен/с с рисованием и PNG ({size / count / 1000:.1f} КБ), "
            f"{figures[f'{level}_questions_per_second']} вопросов/с, одно ядро"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
