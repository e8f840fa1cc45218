"""Makes a model that a real engine can load: two layers, random weights, a tokenizer of two sentences.

Run by the engine's own Python (``tiny_model.py FOLDER``): the tokenizer's library is there, not here.
"""

import json
import sys
from pathlib import Path

from tokenizers import (  # type: ignore[import-not-found]
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    trainers,
)

SENTENCES = (
    "The gateway routes a prompt to the engine whose cache holds its first words already.",
    "An engine says what enters its cache and what leaves it, block by block, word after word.",
)
END = "</s>"

# The CPU kernels refuse a head of 16 at the first request; 32 is the smallest that they take.
HEAD = 32
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "head_dim": HEAD,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 2048,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def make(folder: Path) -> None:
    """Write config.json, tokenizer.json and tokenizer_config.json; weights are made at start."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id(END)
    ids = {"vocab_size": tokenizer.get_vocab_size(), "eos_token_id": end, "bos_token_id": end}
    _write(folder / "config.json", {**CONFIG, **ids})
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "bos_token": END},
    )


def _tokenizer() -> Tokenizer:
    """Byte-level, so that it knows every text, also the words it was not trained on."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _write(path: Path, body: dict[str, object]) -> None:
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
