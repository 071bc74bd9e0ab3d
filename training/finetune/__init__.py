"""Fine-tuning on labelled or instruction text: `documents` reads rows, `templates` renders prompts, `classify`, `lora` and
`soft_prompt` are the methods.
"""
