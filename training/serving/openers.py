"""Registers the models of this package with `corpusmill.transforms.generate.model`, by the scheme of a specification.

    runs/docs, hf:FOLDER                      our checkpoints and Hugging Face language models
    hf-classifier:FOLDER, linear:FOLDER       classifiers
    ensemble:RUN,RUN                          several of them as one teacher
    static:FOLDER, embed:FOLDER               vectors of texts
    api:URL#MODEL, api+chat:URL#MODEL         OpenAI-compatible servers

Importing this module imports neither torch nor Beam.
"""

from corpusmill.transforms.generate.model import register

register("", "corpusmill.training.serving.local_model:open_local")
register("hf", "corpusmill.training.serving.local_model:open_local")
register("hf-classifier", "corpusmill.training.serving.local_model:open_hf_classifier")
register("linear", "corpusmill.training.serving.linear:open_linear")
register("ensemble", "corpusmill.training.serving.ensemble:open_ensemble")
register("static", "corpusmill.training.serving.vectors:open_static")
register("embed", "corpusmill.training.serving.vectors:open_encoder")
register("api", "corpusmill.training.serving.text_api:open_api")
register("api+chat", "corpusmill.training.serving.text_api:open_api")
