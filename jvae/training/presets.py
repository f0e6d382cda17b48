"""Presets: named configs. Each says what it is for, how it is called, how long it takes and what it reaches."""

from jvae.config import Config, LoopConfig, OptimizerConfig
from jvae.errors import unknown
from jvae.judge.net import JudgeNetwork
from jvae.models.book import Book
from jvae.models.linear import Linear
from jvae.models.principal import Principal
from jvae.models.residual import Residual
from jvae.training.tasks.judge import JudgeObjective
from jvae.training.tasks.perceptual import Perceptual
from jvae.training.tasks.vae import Vae

# For the blog post and the book, Generative Deep Learning, chapter 3, as printed: 128x128 squashed CelebA, 200 epochs.
#   jvae train book --data data/celeba128 --out runs/book
BOOK = Config(preset="book", model=Book(image_size=128), objective=Vae(r_loss_factor=10_000.0))

# For 64x64 centre crops of CelebA. Chosen by the clock (benchmarks/bench_recipe.py): narrow where the images are large,
# which is where the time goes; no dropout; Muon at a high rate that falls to 0. Its weights move fast, so the running
# statistics of batch normalisation are of some 10 steps: with those of 100 a model on its way scores 200 nats worse
# after 640 steps, and 66 after 1,000.
#   jvae train celeba64 --data data/celeba64 --out runs/celeba64
# 18 epochs of 16,000 images take four minutes on two cores, and reach an objective of 146 on test images.
CELEBA64 = BOOK.replace(
    preset="celeba64",
    image_size=64,
    widths=(16, 32, 64, 128),
    latent_dim=128,
    dropout=0.0,
    bn_momentum=0.9,
    mirror=True,
    name="muon",
    learning_rate=6e-3,
    schedule="cosine",
    warmup_steps=200,
    ema_decay=0.98,
    batch_size=64,
    epochs=18.0,
)

# The same for an accelerator, which batches of 64 leave idle: a sixteenth of the steps, with averages as much shorter.
#   jvae train celeba64-1024 --data data/celeba64 --out runs/celeba64
# 20 epochs of 16,000 images are 312 steps, and reach an objective of 155 on validation images; in batches of 64, 147.
CELEBA64_1024 = CELEBA64.replace(
    preset="celeba64-1024",
    learning_rate=1.2e-2,
    warmup_steps=20,
    ema_decay=0.9,
    batch_size=1024,
    epochs=20.0,
)

# For rendered faces: what `make demo` trains.
#   jvae train demo --data runs/demo-faces --out runs/demo
# 5 epochs of 16,000 images take about a minute on two cores. Decay of the weights brings validation from 180 to 164 and
# leaves fewer coloured specks on faces far along a vector; on CelebA, in 18 epochs, it brings nothing.
DEMO = CELEBA64.replace(
    preset="demo",
    latent_dim=64,
    r_loss_factor=50_000.0,
    mirror=False,
    weight_decay=1.0,
    warmup_steps=100,
    epochs=5.0,
)

# For a baseline of every other model: the optimum of a linear VAE, with no gradient step.
#   jvae train linear64 --data data/celeba64 --out runs/linear64
# Five passes over 16,000 images take 15 to 30 seconds on two cores, and reach an objective of 160 on validation images
# with 83 of the latents in use.
LINEAR64 = CELEBA64.replace(preset="linear64", model=Linear(latent_dim=128), mirror=False)

# For an encoder and decoder without batch normalisation: residual blocks and GroupNorm, at 64x64.
#   jvae train residual64 --data data/celeba64 --out runs/residual64
# 5 epochs of 16,000 images take four minutes on two cores, and reach an objective of 156 on validation images.
RESIDUAL64 = CELEBA64.replace(
    preset="residual64",
    model=Residual(widths=(32, 64), blocks=(1, 1)),
    mirror=False,
    name="adam",
    learning_rate=5e-3,
    ema_decay=0.99,
    batch_size=32,
    epochs=5.0,
)

# For faces that people recognise: principal components, whose high rate keeps who somebody is, and what residual blocks
# add to them until a judge sees in the reconstruction what it saw in the photograph.
#   jvae judge --data data/celeba64 --seed 1 --out runs/judge1
#   jvae train faces --data data/celeba64 --objective.judge runs/judge1 --out runs/faces
# Learned vectors take a second judge, and scoring a third, each of another seed.
# 30 epochs of 16,000 images take 25 to 65 minutes on two cores; of test images 54 % are nearest to their own photograph
# of 600 by dlib's descriptor. experiments/faces.py does all of it, and docs/faces.md says what else it reaches.
FACES = RESIDUAL64.replace(
    preset="faces",
    model=Principal(widths=(64, 128), blocks=(1, 1), latent_dim=320),
    objective=Perceptual(
        r_loss_factor=130_000.0,
        mirror=True,
        jitter=True,
        layer_weight=60.0,
        feature_weight=5.0,
        logit_weight=10.0,
        readout_weight=10.0,
    ),
    learning_rate=1e-3,
    ema_decay=0.0,
    epochs=30.0,
)

# The same at 128x128, where one resolution more leads to as many places.
#   jvae train faces128 --data data/celeba128 --objective.judge runs/judge128 --out runs/faces128
# At 60 to 70 images/s on two cores in a slow hour, 15 epochs of 16,000 images take an hour. Seen after 2 alone: 53 % of
# test images are nearest to their own photograph of 600, with a squared error of .0035 on validation images.
FACES128 = FACES.replace(
    preset="faces128", image_size=128, widths=(32, 64, 128), blocks=(1, 1, 1), latent_dim=512, epochs=15.0
)

# For the judge of edits, and what objectives of perception take: a classifier of every attribute.
#   jvae judge --data data/celeba64 --out runs/judge
# 36 epochs of 16,000 images take five minutes on two cores; the mean area under the ROC curve of 40 attributes is then
# .91 on test images of CelebA (12 epochs: .90; 12 by Adam: .89). `jvae judge` adds a warm-up, of a tenth of the steps.
JUDGE = Config(
    preset="judge",
    model=JudgeNetwork(),
    objective=JudgeObjective(),
    optimizer=OptimizerConfig(name="muon", learning_rate=6e-3, schedule="cosine", weight_decay=1.0, adam_epsilon=1e-8),
    loop=LoopConfig(batch_size=128, epochs=36.0, chunk_steps=25),
)

PRESETS = {
    cfg.preset: cfg for cfg in (BOOK, CELEBA64, DEMO, CELEBA64_1024, LINEAR64, RESIDUAL64, FACES, FACES128, JUDGE)
}


def preset(name: str) -> Config:
    """The preset `name`. Raises `InputError` with the nearest names if there is none."""
    if name not in PRESETS:
        raise unknown("preset", name, tuple(PRESETS))
    return PRESETS[name]
