"""`datalabbet-node doctor`: what could keep this node from working, and how to mend it."""

import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from models.errors import DatalabbetError
from models.linkage.identity import Mode, Refusal
from node import clock
from node.check_report import CheckReport
from node.datasets import Dataset
from node.gate.switch import Switch
from node.home import Home, open_home, running
from node.link.coordinator import connect
from node.link.keyring import NODE, Credentials, Keyring

_SECONDS = 5.0
_FULL = 50 << 20


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found, and (unless it is ok) how to mend it."""

    check: str
    state: State
    found: str
    mend: str = ""


Check = Callable[[Dataset], CheckReport]


def examine(path: Path, *, check: Check, now: Callable[[], datetime]) -> tuple[Finding, ...]:
    """Give the findings about the node whose home is `path`; `check` reads a dataset's records.

    It changes nothing, and sends nothing but a health call (and, while the node does not run,
    one short attendance for the coordinator's clock).
    """
    try:
        home = open_home(path)
    except DatalabbetError as error:
        return (_failed("configuration", error),)
    findings = [Finding(check="configuration", state=State.OK, found=f"{path} is a node's home")]
    findings.append(disk(home.path, wanted=home.settings.free_space << 20))
    findings += [numbers(home), switch(home)]
    try:
        keyring = home.keyring()
        keyring.identity()
        credentials = keyring.credentials()
    except DatalabbetError as error:
        findings.append(_failed("keys", error))
    else:
        findings.append(permissions(keyring))
        findings.append(certificate(credentials, now()))
        findings += reach(home, credentials, now)
    return (*findings, *_data(home, check))


def numbers(home: Home) -> Finding:
    """Tell which personal numbers the node takes."""
    name = "mode"
    try:
        listed = len(home.admission().test_numbers)
    except DatalabbetError as error:
        return _failed(name, error)
    if home.settings.mode is Mode.DEMO:
        found = "demo: a dataset with what may be a real person's number is refused"
        return Finding(check=name, state=State.OK, found=found)
    if not listed:
        return Finding(
            check=name,
            state=State.WARNING,
            found="production; test numbers would pass for people, since no list of them is set",
            mend="Set test_numbers in node.toml to the list that Skatteverket publishes.",
        )
    found = f"production: demo numbers and {listed} test numbers are refused"
    return Finding(check=name, state=State.OK, found=found)


def switch(home: Home) -> Finding:
    """Tell whether the stop switch is set."""
    name, stop = "stop switch", Switch(home.state).stopped()
    if stop is None:
        return Finding(check=name, state=State.OK, found="not set: approved studies may run")
    return Finding(
        check=name,
        state=State.WARNING,
        found=f"set {stop}: this node answers nothing".replace(" :", ":"),
        mend="When it may work again, run: datalabbet-node resume",
    )


def permissions(keyring: Keyring) -> Finding:
    """Tell whether only the owner can read the keys and the database."""
    name = "permissions"
    loose = [
        str(path)
        for path in (keyring.folder, *sorted(keyring.folder.iterdir()))
        if path.stat().st_mode & 0o077
    ]
    if loose:
        return Finding(
            check=name,
            state=State.FAILED,
            found=f"others than the owner can read {', '.join(loose)}",
            mend=f"Run: chmod -R go= {keyring.folder}",
        )
    return Finding(check=name, state=State.OK, found="only the owner can read the state folder")


def certificate(credentials: Credentials, now: datetime) -> Finding:
    """Tell whether the certificate is valid and fits its key."""
    name = "certificate"
    found = credentials.certificate
    until = f"{found.not_after:%Y-%m-%d %H:%M} UTC"
    if not credentials.matches:
        return Finding(
            check=name,
            state=State.FAILED,
            found="the certificate is not for the key beside it",
            mend="Enrol again with a fresh token from the central team.",
        )
    if found.expired(now):
        return Finding(
            check=name,
            state=State.FAILED,
            found=f"expired on {until}",
            mend="Enrol again with a fresh token from the central team.",
        )
    if found.not_before > now:
        return Finding(
            check=name,
            state=State.FAILED,
            found=f"is not valid before {found.not_before:%Y-%m-%d %H:%M} UTC",
            mend="Set this machine's clock (NTP).",
        )
    if found.due(now):
        return Finding(
            check=name,
            state=State.WARNING,
            found=f"valid until {until}, and should have been renewed",
            mend="Let the node run (`datalabbet-node run`): it renews the certificate itself.",
        )
    found_text = f"{credentials.department}, valid until {until}"
    return Finding(check=name, state=State.OK, found=found_text)


def disk(path: Path, *, wanted: int) -> Finding:
    """Tell whether there is space for the ledger and for prepared records (bytes)."""
    free = shutil.disk_usage(path).free
    found = f"{free >> 20} MiB free under {path}"
    mend = "Free some space: the ledger must be written before a step may be done."
    if free < _FULL:
        return Finding(check="disk", state=State.FAILED, found=found, mend=mend)
    if free < wanted:
        return Finding(check="disk", state=State.WARNING, found=found, mend=mend)
    return Finding(check="disk", state=State.OK, found=found)


def reach(home: Home, credentials: Credentials, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Give what the way to the coordinator looks like, up to the first step that fails."""
    address = home.settings.coordinator or credentials.membership.coordinator
    found = tcp(address)
    yield found
    if found.state is not State.OK:
        return
    found = tls(address, credentials, home.state / NODE)
    yield found
    if found.state is not State.OK:
        return
    coordinator = connect(credentials, address=address)
    try:
        serving = coordinator.healthy(seconds=_SECONDS)
        state = State.OK if serving else State.WARNING
        yield Finding(
            check="coordinator",
            state=state,
            found="it answers and serves" if serving else "it answers, and does not serve now",
            mend="" if serving else "Wait, or ask the central team.",
        )
        seen = clock.read(home.state)
        if not running(home.state):
            # A second attendance would take the running node's place, so only without one.
            seen = None
            notices = coordinator.attend("doctor")
            timer = threading.Timer(_SECONDS, notices.cancel)
            timer.start()
            seen = next((now() - notice.now for notice in notices), None)
            timer.cancel()
            notices.cancel()
        yield skew(seen)
    except DatalabbetError as error:
        yield _failed("coordinator", error)
    finally:
        coordinator.close()


def tcp(address: str) -> Finding:
    """Tell whether the coordinator's port can be reached."""
    name = "network"
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS):
            return Finding(check=name, state=State.OK, found=f"{address} can be reached")
    except socket.gaierror:
        return Finding(
            check=name,
            state=State.FAILED,
            found=f"the name {host} is not known",
            mend="Check the address, and this machine's DNS.",
        )
    except OSError as error:
        return Finding(
            check=name,
            state=State.FAILED,
            found=f"{address} cannot be reached ({error.strerror or 'no answer in time'})",
            mend="Check that the coordinator runs and that firewalls let this machine out to it.",
        )


def tls(address: str, credentials: Credentials, pem: Path) -> Finding:
    """Tell whether both ends accept each other's certificates."""
    name = "TLS"
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    context = ssl.create_default_context(cadata=credentials.certificate.authority_pem)
    try:
        context.load_cert_chain(pem)
        with (
            socket.create_connection((host, int(port)), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            version = secure.version()
    except ssl.SSLCertVerificationError as error:
        return Finding(
            check=name,
            state=State.FAILED,
            found=f"the coordinator's certificate is not accepted: {error.verify_message}",
            mend="Use a name that its certificate carries (`names` in coordinator.toml), check "
            "this machine's clock, or enrol again if the federation has a new authority.",
        )
    except OSError as error:
        return Finding(
            check=name,
            state=State.FAILED,
            found=f"no TLS connection ({type(error).__name__})",
            mend="Check that the address is the coordinator's main port, with nothing in between "
            "that opens TLS.",
        )
    return Finding(check=name, state=State.OK, found=f"{version} with the federation's authority")


def skew(apart: timedelta | None) -> Finding:
    """Tell whether this machine's clock and the coordinator's agree."""
    if apart is None:
        return Finding(
            check="clock",
            state=State.WARNING,
            found="the coordinator's time is not known",
            mend="Try again when the coordinator serves.",
        )
    seconds = apart.total_seconds()
    found = f"{abs(seconds):.1f} s {'ahead of' if seconds >= 0 else 'behind'} the coordinator"
    if abs(apart) > clock.SKEW:
        return Finding(
            check="clock",
            state=State.WARNING,
            found=found,
            mend="Let this machine follow a time server (NTP): certificates depend on it.",
        )
    return Finding(check="clock", state=State.OK, found=found)


def _data(home: Home, check: Check) -> Iterator[Finding]:
    try:
        datasets = home.shelf().datasets()
    except DatalabbetError as error:
        yield _failed("declarations", error)
        return
    if not datasets:
        yield Finding(
            check="declarations",
            state=State.WARNING,
            found=f"no dataset is declared in {home.datasets}",
            mend="Put one declaration file per dataset there (`datalabbet-node data draft`).",
        )
    for name, dataset in datasets.items():
        try:
            yield records(name, check(dataset))
        except DatalabbetError as error:
            yield _failed(f"data of {name}", error)


def records(name: str, report: CheckReport) -> Finding:
    """Tell whether a dataset's records keep its declaration."""
    check, found = f"data of {name}", f"{report.usable} of {report.rows} rows can be used"
    if any(total.problem == Refusal.REAL for total in report.totals):
        return Finding(
            check=check,
            state=State.FAILED,
            found="refused: it holds what may be a real person's number",
            mend="Take people's records out of a node in demo mode, and tell who sent them.",
        )
    if report.usable == 0:
        return Finding(
            check=check,
            state=State.FAILED,
            found=found,
            mend=f"Run: datalabbet-node data check --dataset {name}",
        )
    if report.totals:
        return Finding(
            check=check,
            state=State.WARNING,
            found=f"{found}; {len(report.totals)} kinds of problems",
            mend=f"Run: datalabbet-node data check --dataset {name}",
        )
    return Finding(check=check, state=State.OK, found=found)


def _failed(check: str, error: DatalabbetError) -> Finding:
    return Finding(check=check, state=State.FAILED, found=error.message, mend=error.hint)
