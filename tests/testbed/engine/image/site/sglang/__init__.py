"""The stand-in's image: the module names that SGLang is started by."""
