"""Experiments that train the networks of all classes of a fit together."""

import json

import numpy as np
import pytest

from lesionbench.errors import SettingsError
from lesionbench.experiment.bench import Bench
from lesionbench.experiment.grid import cells
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.session import default_folder
from lesionbench.experiment.settings import make_experiment
from lesionbench.plugins import Plugins

GAN = "dcgan[batch_size=2,steps=2]"
DATA = {"dataset": "skin-phantom[size=16,train=20,test=12]", "classifiers": "linear"}


@pytest.fixture
def bench(tmp_path):
    def made(**settings):
        plugins = Plugins.load()
        experiment = make_experiment(DATA | {"augmenters": GAN} | settings, plugins)
        return Bench(prepare(experiment, plugins, str(tmp_path / "store")), plugins, tmp_path / "logs")

    return made


def pool_of(bench):
    return next(job for cell in cells(bench.prepared.experiment, 1) for job in cell.pools)


def test_a_stacked_fit_is_one_task_and_draws_nearly_what_a_fit_in_parts_draws(bench):
    stacked, in_parts = bench(stack=True), bench()
    job = pool_of(stacked)
    together, apart = stacked.pool(job), in_parts.pool(job)

    assert (stacked.parts_of(job), len(in_parts.parts_of(job))) == ((), 2)
    for one, other in zip(together.images, apart.images, strict=True):
        assert np.abs(one.astype(int) - other).max() < 20
    assert stacked.fit(job).has("sampler")
    lines = [json.loads(line) for line in (stacked.fit(job).folder("logs") / "progress.jsonl").read_text().splitlines()]
    assert {"generator_loss of benign", "generator_loss of malignant"} < lines[-1].keys()


def test_a_key_says_that_a_fit_was_stacked_and_others_do_not_know_of_it(bench):
    stacked, in_parts = bench(stack=True, augmenters=[GAN, "noise"]), bench(augmenters=[GAN, "noise"])
    gan, noise = (pool for cell in cells(stacked.prepared.experiment, 1)[1:3] for pool in cell.pools)

    assert stacked.keys.inputs_of_fit(gan) == {"stacked": True, **in_parts.keys.inputs_of_fit(gan)}
    assert stacked.keys.fit(noise) == in_parts.keys.fit(noise)
    assert "stacked" not in in_parts.keys.inputs_of_fit(gan)


def test_without_a_stack_the_output_folder_has_the_name_it_always_had(bench):
    stacked, in_parts = bench(stack=True).prepared.experiment, bench().prepared.experiment

    assert default_folder(stacked) != default_folder(in_parts)
    settings = in_parts.model_dump()
    settings.pop("stack")
    assert default_folder(type(in_parts)(**settings)) == default_folder(in_parts)


@pytest.mark.parametrize("augmenters", [["oversample", "noise"], []])
def test_a_stack_is_refused_where_no_augmenter_can_do_it(augmenters):
    with pytest.raises(SettingsError) as raised:
        make_experiment(DATA | {"augmenters": augmenters, "stack": True}, Plugins.load())

    assert str(raised.value) == (
        "stack trains the networks of all classes of a fit together, but no augmenter here can do that: "
        f"{', '.join(augmenters) or 'there is none'}; leave out stack, or add one that can: dcgan"
    )


def test_a_stack_is_true_or_false():
    with pytest.raises(SettingsError, match="stack: "):
        make_experiment(DATA | {"augmenters": GAN, "stack": "perhaps"}, Plugins.load())
