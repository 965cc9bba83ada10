"""`decide` from every pair of what should be and what is: the steps end, and where they end is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.instance import Instance, State, absent
from innkeeper.core.ladder import Rung
from innkeeper.core.plan import CRASH_WINDOW, CRASHES, Step, decide, is_ready, looping, observe, settled
from innkeeper.core.tenant import Limits, Seen, Spec, Tenant, Wanted

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SPEC = Spec(agent="plain", release="1", image="sha256:1", limits=Limits(memory_mb=128, cpus=1))
RUNTIME_STATES = (State.ABSENT, State.RUNNING, State.PAUSED, State.STOPPED)

tenants = st.builds(
    Tenant,
    id=st.just("tn_1"),
    name=st.just("alice"),
    spec=st.just(SPEC),
    slot=st.just(0),
    created_at=st.just(NOW),
    revision=st.just(3),
    remade_at=st.integers(1, 3),
    wanted=st.sampled_from(Wanted),
    rung=st.sampled_from(Rung),
    purge=st.booleans(),
    seen=st.builds(
        Seen,
        state=st.sampled_from(State),
        ready=st.booleans(),
        instance_id=st.sampled_from((None, "i1", "i0")),
        started_at=st.sampled_from((None, NOW)),
        restarts=st.integers(0, 3),
        crashes=st.lists(st.just(NOW), max_size=6).map(tuple),
    ),
)


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    state = draw(st.sampled_from(RUNTIME_STATES))
    if state is State.ABSENT:
        return absent("alice")
    return Instance(
        tenant="alice",
        state=state,
        id="i1",
        tenant_id=draw(st.sampled_from(("tn_1", "tn_0"))),
        revision=draw(st.integers(1, 3)),
        restarts=draw(st.integers(0, 3)),
        started_at=NOW,
    )


def act(step: Step, tenant: Tenant, instance: Instance) -> tuple[Tenant, Instance]:
    """What a runtime that always obeys makes of a step."""
    match step:
        case Step.CREATE:
            made = Instance(
                tenant="alice", state=State.STOPPED, id="new", tenant_id=tenant.id, revision=tenant.revision
            )
            return tenant, made
        case Step.START:
            return tenant, replace(instance, state=State.RUNNING, started_at=NOW + timedelta(seconds=1))
        case Step.PROBE:
            ready = replace(
                tenant.seen, ready=True, instance_id=instance.id, started_at=instance.started_at, state=State.RUNNING
            )
            return replace(tenant, seen=ready), instance
        case Step.PAUSE:
            return tenant, replace(instance, state=State.PAUSED)
        case Step.UNPAUSE:
            return tenant, replace(instance, state=State.RUNNING)
        case Step.STOP:
            return tenant, replace(instance, state=State.STOPPED)
        case Step.REMOVE:
            return tenant, absent("alice")
        case Step.GIVE_UP:
            return replace(tenant, seen=replace(tenant.seen, state=State.FAILED)), replace(
                instance, state=State.STOPPED if instance.exists else State.ABSENT
            )
        case _:
            raise AssertionError(step)


@given(tenants, instances())
def test_the_steps_converge(tenant: Tenant, instance: Instance) -> None:
    for _ in range(10):
        tenant = replace(tenant, seen=observe(tenant.seen, instance, NOW))
        step = decide(tenant, instance)
        if step in (Step.NONE, Step.ERASE):
            break
        tenant, instance = act(step, tenant, instance)
    else:
        pytest.fail("ten steps and no end")
    match tenant.target:
        case State.ABSENT:
            assert step is Step.ERASE
            assert not instance.exists
        case _ if tenant.seen.state is State.FAILED:
            assert instance.state is not State.RUNNING
        case State.RUNNING:
            assert instance.state is State.RUNNING
            assert is_ready(tenant.seen, instance)
            assert instance.revision >= tenant.remade_at
        case State.PAUSED:
            assert instance.state in (State.PAUSED, State.STOPPED, State.ABSENT)
        case _:
            assert instance.state in (State.STOPPED, State.ABSENT)


@given(tenants, instances())
def test_a_look_changes_nothing_the_second_time(tenant: Tenant, instance: Instance) -> None:
    once = observe(tenant.seen, instance, NOW)
    assert observe(once, instance, NOW) == once


@given(tenants, instances())
def test_nothing_runs_while_it_should_be_gone(tenant: Tenant, instance: Instance) -> None:
    leaving = replace(tenant, wanted=Wanted.GONE)
    assert decide(leaving, instance) in (Step.UNPAUSE, Step.STOP, Step.REMOVE, Step.ERASE)
    if leaving.purge and instance.exists:
        assert decide(leaving, instance) is Step.REMOVE


@given(tenants, instances())
def test_nothing_of_a_closed_one_runs_and_nothing_of_it_is_lost(tenant: Tenant, instance: Instance) -> None:
    closed = replace(tenant, closed="op_1")
    for _ in range(4):
        step = decide(closed, instance)
        if step in (Step.NONE, Step.ERASE):
            break
        assert step in (Step.UNPAUSE, Step.STOP, Step.REMOVE)
        closed, instance = act(step, closed, instance)
    assert not instance.exists
    assert (step is Step.ERASE) is (tenant.wanted is Wanted.GONE)


def running(**changes: object) -> Instance:
    base = Instance(tenant="alice", state=State.RUNNING, id="i1", tenant_id="tn_1", revision=1, started_at=NOW)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_readiness_belongs_to_one_run_of_one_instance() -> None:
    seen = Seen(state=State.RUNNING, ready=True, instance_id="i1", started_at=NOW)
    assert is_ready(seen, running())
    assert not is_ready(seen, running(started_at=NOW + timedelta(seconds=1)))
    assert not is_ready(seen, running(id="i2"))
    assert not is_ready(seen, running(stuck=True))
    assert not is_ready(seen, running(state=State.STOPPED))


def test_five_crashes_in_ten_minutes_are_enough_and_four_are_not() -> None:
    seen, at = Seen(), NOW
    for restarts in range(1, CRASHES + 1):
        assert not looping(seen)
        at += timedelta(minutes=1)
        seen = observe(seen, running(restarts=restarts), at)
    assert looping(seen)


def test_crashes_long_ago_are_forgotten() -> None:
    seen = Seen()
    for number in range(1, 20):
        seen = observe(seen, running(restarts=number), NOW + number * CRASH_WINDOW / 4)
        assert len(seen.crashes) <= 4
    assert not looping(seen)


def test_a_hopeless_exit_is_given_up_at_once() -> None:
    seen = observe(Seen(), running(restarts=1, exit_code=78), NOW, hopeless=frozenset({78}))
    assert looping(seen)


def test_a_new_instance_starts_with_a_clean_count() -> None:
    seen = observe(Seen(), running(restarts=3), NOW)
    assert len(seen.crashes) == 3
    again = observe(seen, running(id="i2", restarts=1), NOW)
    assert len(again.crashes) == 4


def test_a_failed_tenant_rests_until_somebody_changes_it() -> None:
    tenant = Tenant(id="tn_1", name="alice", spec=SPEC, slot=0, created_at=NOW, seen=Seen(state=State.FAILED))
    assert decide(tenant, running()) is Step.STOP
    assert settled(tenant, running(state=State.STOPPED))
