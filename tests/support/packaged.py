"""On what, and by which rules, the packaged nano is measured: its card, its bench and its test say the same."""

# no model of ours has been trained, chosen or looked at on this one
TEST_SEED = 2026
RULES = {
    "GQA: точное совпадение": "gqa-ru/lmms",
    "MMBench: circular, буквы": "mmbench-ru/lmms/circular",
    "MMBench: circular, правдоподобие": "mmbench-ru/likelihood/circular",
}
