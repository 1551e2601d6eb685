import dataclasses

import kill_and_resume


def test_killed_runs_resume_to_the_same_bytes():
    settings = dataclasses.replace(kill_and_resume.SETTINGS, steps=40, eval_every=20)
    for trial in kill_and_resume.trials(2, seed=0, settings=settings):
        assert trial.differing == ()
