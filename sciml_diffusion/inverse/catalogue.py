"""The shipped posterior methods by name, and what each needs of an observation; see `PosteriorMethod.needs`."""

METHODS = {
    "mmps": "gradient",
    "smc": "linear",
    "gs-smc": "linear",
    "block-moves": "linear",
    "dps": "gradient",
    "pigdm": "gradient",
    "sda": "gradient",
    "daps": "gradient",
    "split-gibbs": "gradient",
    "unknown-noise": "gradient",
    "latent-readings": "gradient",
    "afdps": "gradient",
    "afdps-published": "gradient",
    "enkg": "forward",
}
