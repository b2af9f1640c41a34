"""Answers as transformers itself gives them: `generate`, and one forward pass for the options of a question."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ruvlm.models.vlm.decoder import Decoder, option_sums, scored
from ruvlm.models.vlm.greedy import Written
from ruvlm.models.vlm.sheets import PictureSheet
from ruvlm.schema import Prompt, Response

# where 1 marks what the model writes and 0 what it is asked: elsewhere 1 is a picture
ANSWERS_ARE_ONE = {("token_type_ids", "paligemma")}


class PlainDecoder(Decoder):
    """Every question with its own copy of the picture: slow, and what the fast way is checked against."""

    def write(self, batch: list[PictureSheet], limit: int) -> list[Written]:
        from transformers import GenerationConfig, StoppingCriteriaList

        endings = self.endings(batch[0].prompts[0])
        pairs = [(sheet.pictures, prompt.wording) for sheet in batch for prompt in sheet.prompts]
        inputs = self.moved(self.reader.batch([pictures for pictures, _ in pairs], [said for _, said in pairs]))
        start = inputs["input_ids"].shape[1]
        # greedy and nothing else: what is not said here comes from the checkpoint, a penalty for repetition for one
        config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            max_new_tokens=limit,
            eos_token_id=sorted(endings.eos),
            pad_token_id=self.reader.processor.tokenizer.pad_token_id,
        )

        def over(ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
            return torch.tensor([endings.reached(row) for row in ids[:, start:].tolist()], device=ids.device)

        stopping = StoppingCriteriaList([over]) if endings.stops else None
        ids = self.model.generate(**inputs, generation_config=config, stopping_criteria=stopping)
        return [Written(endings.cut(row), None) for row in ids[:, start:].tolist()]

    def score(self, batch: list[PictureSheet]) -> list[Response]:
        return [self._scored(sheet, prompt) for sheet in batch for prompt in sheet.prompts]

    def _scored(self, sheet: PictureSheet, prompt: Prompt) -> Response:
        options = [self.reader.option(text, prompt.wording) for text in prompt.candidates]
        longest = max(map(len, options))
        # a row an option, as the processor makes them: not every family's inputs are one row a picture
        rows = self.reader.batch([sheet.pictures] * len(options), [prompt.wording] * len(options))
        rows.pop("labels", None)
        # on the right: nothing before a pad sees it
        pads = torch.tensor([option + [0] * (longest - len(option)) for option in options])
        length = rows["input_ids"].shape[1]
        for key, value in rows.items():
            if key != "input_ids" and value.ndim > 1 and value.shape[:2] == (len(options), length):
                rows[key] = torch.cat([value, self._continued(key, value, longest)], 1)
        rows["input_ids"] = torch.cat([rows["input_ids"], pads], 1)
        logits = self.model(**self.moved(rows), logits_to_keep=longest + 1).logits
        aligned = torch.stack([row.roll(longest - len(o), 0) for row, o in zip(logits, options, strict=True)])
        return scored(prompt, list(zip(option_sums(aligned, options), map(len, options), strict=True)))

    def _continued(self, key: str, value: Tensor, count: int) -> Tensor:
        """What an input that goes along with the text says of `count` more tokens: seen, seeing what the last one sees, no picture."""
        last = value[:, -1:].expand(-1, count, *value.shape[2:])
        if key == "attention_mask" or (key, self.model.config.model_type) in ANSWERS_ARE_ONE:
            return torch.ones_like(last)
        return last.clone() if key == "cross_attention_mask" else torch.zeros_like(last)
