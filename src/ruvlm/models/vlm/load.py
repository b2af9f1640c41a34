"""A Hugging Face model by id or folder: weights, adapter and processor, checked to be whole."""

from __future__ import annotations

import importlib.util
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ruvlm.backends.base import Access
from ruvlm.checkpoint import refuse_lost_folder, refuse_not_finite, weights_fingerprint
from ruvlm.errors import DeviceError, ModelError
from ruvlm.models.vlm.adapters import answering, refuse_another_base
from ruvlm.runtime import pick_device, quiet_transformers

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# captioners and readers of text
WITHOUT_QUESTIONS = ("blip", "got_ocr2")
# buffers that older versions saved and newer ones compute
COMPUTED = (".position_ids", ".inv_freq")


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer. `fingerprint` names its weights, adapter and number format; `weights` its own weights alone."""

    model: Any
    processor: Any
    name: str
    fingerprint: str
    weights: str = ""


def load_hf(spec: str, access: Access) -> Loaded:
    """«ID_OR_FOLDER» or «ID_OR_FOLDER+ADAPTER» → model and processor on their device. Raises ModelError, DeviceError."""
    quiet_transformers()
    name, _, adapter = (spec, "", "") if Path(spec).is_dir() else spec.partition("+")
    device = pick_device(access.device)
    model = plain_weights(name, access, device)
    base = Path(name)
    commit = getattr(model.config, "_commit_hash", None)
    weights = mark = weights_fingerprint(base) if base.is_dir() else f"{name}@{commit}"
    if adapter:
        refuse_another_base(model, name, weights, adapter)
        model = answering(model, adapter)
        mark += f" + {weights_fingerprint(Path(adapter)) if Path(adapter).is_dir() else adapter}"
    if access.dtype != "4bit":
        model = model.to(device)
    shown = base.resolve().name if base.is_dir() else name
    processor = load_processor(name, model.config, access.trust_remote_code)
    return Loaded(
        model.eval(),
        processor,
        f"hf:{shown}" + (f"+{Path(adapter).name}" if adapter else ""),
        f"hf {mark} {_format(model, access)}",
        weights,
    )


def _format(model: Any, access: Access) -> str:
    return "4bit" if access.dtype == "4bit" else str(model.dtype).removeprefix("torch.")


def plain_weights(name: str, access: Access, device: torch.device) -> Any:
    from transformers import AutoModelForImageTextToText

    settings: dict[str, Any] = {"trust_remote_code": access.trust_remote_code, "dtype": _dtype(access.dtype, device)}
    if access.dtype == "4bit":
        settings |= _four_bits(device)
    refuse_lost_folder(name)
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise ModelError(f"В папке {name} нет config.json: это не модель Hugging Face.")
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(name, output_loading_info=True, **settings)
    except MemoryError:
        raise
    except Exception as error:  # a stranger's files can make the library raise anything, plain Exception too
        raise ModelError(_said(name, error)) from error
    lost = sorted(info["missing_keys"]) + [str(key) for key in info["mismatched_keys"]]
    if lost:
        raise ModelError(
            f"У модели {name} нет или не подходят по размеру {len(lost)} весов ({', '.join(lost[:3])}…): со случайными "
            "весами на их месте она ничего не измерит."
        )
    strange = [key for key in sorted(info["unexpected_keys"]) if not key.endswith(COMPUTED)]
    if strange:
        raise ModelError(
            f"В файлах модели {name} {len(strange)} весов, которых её класс не знает ({', '.join(strange[:3])}…): с частью "
            "весов она отвечала бы не так, как обучена."
        )
    _refuse_without_questions(model, name)
    refuse_not_finite(model, name)
    if access.dtype == "4bit" and device.type == "cpu":
        _same_on_every_processor(model)
    return model


def _refuse_without_questions(model: Any, name: str) -> None:
    """Raise ModelError for a model that does not continue a question about a picture."""
    kind = model.config.model_type
    way = "возьмите другую или поднимите сервер и спросите его (openai:МОДЕЛЬ@URL)"
    if model.config.is_encoder_decoder:
        raise ModelError(f"Модель {name} – кодировщик с декодером (вид {kind}): такие здесь не спрашивают, {way}.")
    if kind in WITHOUT_QUESTIONS:
        raise ModelError(
            f"Модель {name} (вид {kind}) описывает картинку или читает её текст и вопросов не принимает: {way}."
        )


def _same_on_every_processor(model: Any) -> None:
    """Keep bitsandbytes from its AVX512-BF16 layout, which not every width fits and which answers otherwise than elsewhere."""
    from bitsandbytes.nn import Linear4bit  # type: ignore[attr-defined]

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _said(name: str, error: Exception) -> str:
    """One sentence about why a model did not load."""
    first = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    if type(error).__name__ == "SafetensorError":
        return f"Файл весов модели {name} повреждён ({error}): скачайте его заново."
    if "trust_remote_code" in str(error):
        return (
            f"Модель {name} требует исполнить код из её репозитория: если доверяете ему, добавьте --trust-remote-code."
        )
    if "Unrecognized configuration class" in str(error) or "Unrecognized model" in str(error):
        return (
            f"Модель {name} – не из image-text-to-text моделей transformers ({first}): если она отвечает на вопросы о картинке, возьмите "
            "её издание с «-hf» в имени или поднимите сервер и спросите его (openai:МОДЕЛЬ@URL)."
        )
    if isinstance(error, ImportError) and _packages(error):
        return f"Модели {name} нужен пакет {_packages(error)}: pip install {_packages(error)}."
    if isinstance(error, OSError) and not Path(name).is_dir():
        return f"Модели {name} нет ни на диске, ни на хабе, или до хаба не достучаться ({first}): проверьте имя и сеть."
    return f"Модель {name} не загрузилась ({first})."


def _dtype(name: str, device: torch.device) -> Any:
    """«auto» is float32 on CPU, elsewhere what the checkpoint was saved in."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    if name == "4bit":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise DeviceError(f"--dtype «{name}» не известен: есть auto, {', '.join(DTYPES)}, 4bit.")
    return DTYPES[name]


def _four_bits(device: torch.device) -> dict[str, Any]:
    if device.type == "mps" or importlib.util.find_spec("bitsandbytes") is None:
        raise DeviceError(
            "4bit работает на CUDA или процессоре с пакетом bitsandbytes (pip install bitsandbytes): установите его или "
            "возьмите bfloat16."
        )
    from transformers import BitsAndBytesConfig

    compute = torch.bfloat16 if device.type == "cuda" else torch.float32
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
    return {"quantization_config": config, "device_map": {"": device}}


def load_processor(name: str, config: Any, trust_remote_code: bool = False) -> Any:
    """The processor of a model with `config`; without torchvision, one that knows pictures but no video. Raises ModelError."""
    from transformers import AutoProcessor

    try:
        try:
            processor = AutoProcessor.from_pretrained(name, trust_remote_code=trust_remote_code)
        except (ImportError, ValueError) as error:
            if "torchvision" not in str(error).lower() and "video processor" not in str(error).lower():
                raise
            processor = _without_video(name, config.model_type)
    except MemoryError:
        raise
    except Exception as error:  # tokenizers raise plain Exception
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        packages = _packages(error)
        if packages:
            raise ModelError(f"Процессору модели {name} нужен пакет {packages}: pip install {packages}.") from error
        raise ModelError(
            f"У модели {name} нет пригодного процессора ({first}): нужны его файлы рядом с весами."
        ) from error
    if getattr(processor, "image_processor", None) is None:
        raise ModelError(f"У модели {name} нет процессора картинок (preprocessor_config.json): скачайте её целиком.")
    _fill_in(processor, name, config)
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return processor


def _packages(error: Exception) -> str:
    """What has to be installed, by what a library says; empty if it names nothing."""
    named = next((known for known in ("torchvision", "num2words", "timm") if known in str(error).lower()), "")
    # num2words is SmolVLM's, for the frames of a video, whose processor comes with torchvision
    return f"{named} torchvision" if named == "num2words" and not importlib.util.find_spec("torchvision") else named


def _fill_in(processor: Any, name: str, config: Any) -> None:
    """What a LLaVA's processor must know to count a picture's tokens, from config.json where its own files do not say it.

    Folders saved before 2025 lack it (transformers 41206 and 30962: the values are to be taken from the model's config).
    """
    vision = getattr(config, "vision_config", None)
    if not (hasattr(processor, "num_additional_image_tokens") and hasattr(processor, "patch_size")) or vision is None:
        return
    said = _processor_file(name)
    if processor.patch_size is None:
        processor.patch_size = getattr(vision, "patch_size", None)
    if processor.vision_feature_select_strategy is None:
        processor.vision_feature_select_strategy = getattr(config, "vision_feature_select_strategy", "default")
    if "num_additional_image_tokens" not in said:
        # CLIP's tower has a class token, SigLIP's has none
        processor.num_additional_image_tokens = int("clip" in str(getattr(vision, "model_type", "")))


def _processor_file(name: str, file: str = "processor_config.json") -> dict[str, Any]:
    """A settings file of a folder or a repository; empty where there is none."""
    from transformers.utils import cached_file

    try:
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
        settings = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _without_video(name: str, model_type: str) -> Any:
    """The repository's processor, less its video part, which cannot be built without torchvision."""
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    named = _processor_class(name) or PROCESSOR_MAPPING_NAMES.get(model_type)
    if named is None or not hasattr(transformers, named):
        raise ValueError(f"процессор вида {model_type} неизвестен")
    parent = getattr(transformers, named)

    def checked(self: Any, argument_name: str, argument: Any) -> Any:
        return None if argument is None else parent.check_argument_for_proper_class(self, argument_name, argument)

    # its name is what save_pretrained writes: the folder is to be read where torchvision is
    kind: Any = type(
        named, (parent,), {"check_argument_for_proper_class": checked, "video_settings": _video_settings(name)}
    )
    loaders = {
        "image_processor": transformers.AutoImageProcessor,
        "tokenizer": transformers.AutoTokenizer,
        "feature_extractor": transformers.AutoFeatureExtractor,
    }
    names = inspect.signature(parent.__init__).parameters
    said, _ = kind.get_processor_dict(name)
    parts = {part: loaders[part].from_pretrained(name) for part in kind.get_attributes() if part in loaders}
    settings = {key: value for key, value in said.items() if key in names and key not in (*parts, "video_processor")}
    video = {"video_processor": None} if "video_processor" in names else {}
    try:
        processor = kind(**parts, **video, **settings)
    except (AttributeError, TypeError, ValueError) as error:
        raise ImportError(f"без torchvision процессор {named} не строится: {error}") from error
    kind.get_attributes = classmethod(lambda cls: list(parts))  # from here on: what there is to save
    return processor


def _video_settings(name: str) -> dict[str, Any]:
    """What a repository says of its video processor: kept to be written again; empty if it says nothing."""
    nested = _processor_file(name).get("video_processor")
    return nested if isinstance(nested, dict) else _processor_file(name, "video_preprocessor_config.json")


def _processor_class(name: str) -> str | None:
    """What the repository calls its processor; None if it does not say."""
    for file in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        said = _processor_file(name, file).get("processor_class")
        if isinstance(said, str):
            return said
    return None
