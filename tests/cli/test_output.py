"""Exit statuses, errors and progress of the command line."""
import json
import sys
import threading
from unittest.mock import MagicMock, Mock, call

import click
import pytest

from docker_registry_index.cli import output
from docker_registry_index.engine import errors
from docker_registry_index.engine.sync.snapshot import ScratchError

STATUSES = [
    (errors.SettingError('region', None, 'is wrong', 'correct it'), 2),
    (errors.MissingDependency('yaml', 'pip install PyYAML'), 2),
    (errors.InvalidName('x', 'is too long'), 2),
    (errors.InvalidArgument('limit', 0, 'give one'), 2),
    (errors.RequestFailed('query', ['t'], 'Code', 'failed', True), 3),
    (errors.StorageUnreadable('its namespaces', IOError('unavailable')), 3),
    (ScratchError('disk is full'), 3), (errors.LeaseTaken('v', 7), 4), (errors.LeaseLost('v'), 4),
    (errors.NewerDatabase('t', 99, 3), 5), (errors.ForeignDatabase('t', 'has other keys'), 5),
]


@pytest.fixture
def status_of(capsys, clock):
    """A function that calls exit_with() and returns the exit status and both outputs."""
    # Other tests may have left threads in this process: with a real clock, exit_with would wait.
    def exit_status(act, is_json=False, sleep=clock.sleep):
        with pytest.raises(SystemExit) as ended:
            output.exit_with(act, is_json, clock, sleep)
        return (ended.value.code,) + tuple(capsys.readouterr())
    return exit_status


@pytest.mark.parametrize('error, status', STATUSES, ids=lambda value: type(value).__name__)
def test_each_error_has_an_exit_status_and_one_line(status_of, error, status):
    found, out, err = status_of(Mock(side_effect=error))
    assert (found, out, err.count('\n')) == (status, '', 1)
    assert err.startswith('docker-registry-index: ') and str(error) in err
    found, out, err = status_of(Mock(side_effect=error), is_json=True)
    assert found == status and str(error) in json.loads(out)['error'] and str(error) in err


def test_the_status_of_a_function_is_the_exit_status_and_that_of_ctrl_c_is_130(status_of):
    assert status_of(lambda: output.NOT_OK) == (1, '', '')
    assert status_of(Mock(side_effect=KeyboardInterrupt())) == (130, '', '')
    # An unknown error is not hidden.
    with pytest.raises(ZeroDivisionError):
        status_of(Mock(side_effect=ZeroDivisionError()))


def test_a_usage_error_is_left_to_click_and_with_json_also_a_document(status_of, capsys):
    for is_json, documents in (False, ''), (True, '{\n  "error": "a wrong option"\n}\n'):
        with pytest.raises(click.UsageError):
            status_of(Mock(side_effect=click.UsageError('a wrong option')), is_json)
        assert capsys.readouterr() == (documents, '')


def test_the_end_waits_for_background_threads_until_they_end_or_two_seconds_have_passed(
        status_of, monkeypatch, clock):
    threads = [Mock(daemon=False), Mock(daemon=True)]
    monkeypatch.setattr(threading, 'enumerate', lambda: threads if len(clock.slept) < 99 else [])
    assert status_of(lambda: output.NOT_OK)[0] == output.NOT_OK
    assert sum(clock.slept) == pytest.approx(2, abs=0.1)
    assert status_of(lambda: output.OK, sleep=lambda _: threads.pop())[0] == output.OK
    assert [thread.daemon for thread in threads] == [False]


@pytest.mark.parametrize('is_terminal', [False, True])
def test_progress_is_shown_on_a_terminal_only(monkeypatch, is_terminal):
    bar = MagicMock()
    monkeypatch.setattr(click, 'progressbar', Mock(return_value=bar))
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: is_terminal)
    with output.Bar('loading') as shown:
        for done, total in (0, 0), (2, 9), (7, 9):
            shown.update(done, total)
    assert bar.update.call_args_list == ([call(2), call(5)] if is_terminal else [])
    assert [each.kwargs['length'] for each in click.progressbar.call_args_list] == [9] * is_terminal
    assert bar.__exit__.called is is_terminal
