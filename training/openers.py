"""Registers the models of this package with `transforms.generate.model`, by the scheme of a specification.

    runs/docs, hf:FOLDER                      our checkpoints and Hugging Face language models
    hf-classifier:FOLDER, linear:FOLDER       classifiers
    api:URL#MODEL, api+chat:URL#MODEL         OpenAI-compatible servers

Importing this module imports neither torch nor Beam.
"""

from transforms.generate.model import register

register("", "training.local_model:open_local")
register("hf", "training.local_model:open_local")
register("hf-classifier", "training.local_model:open_hf_classifier")
register("linear", "training.linear:open_linear")
register("api", "training.text_api:open_api")
register("api+chat", "training.text_api:open_api")
