"""The running node: it attends, opens a stream for each approved run, and answers."""

import logging
import shutil
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from models.errors import DatalabbetError, RefusedError
from models.governance.any_study import AnyStudy
from models.governance.views import Assignment, Notice
from models.ledger.entries import SignedHead
from models.randomness import Entropy
from node import clock, telemetry
from node.flower.work import RunWork
from node.home import alone
from node.link.attendance import Attendance
from node.link.coordinator import Coordinator
from node.link.enrolment import renew
from node.link.exchange import Answering, Exchange
from node.link.keyring import Credentials
from node.link.retry import Backoff
from node.rules import Rules
from node.runs import Role, Runs

_RENEWAL_PAUSE = timedelta(minutes=1)
_GRACE = 5.0


class Node:
    """A department's node, or a witness's.

    It does only what its own rules allow; the coordinator may ask.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        address: str | None,
        software: str,
        now: Callable[[], datetime],
        entropy: Entropy,
        role: Role = Role.DEPARTMENT,
    ) -> None:
        """Keep the parts."""
        self._rules = rules
        self._role = role
        self._clock = now
        self._entropy = entropy
        self._credentials = rules.keyring.credentials()
        self._scratch = rules.keyring.folder / "scratch"
        self._runs = Runs(rules=rules, role=role, entropy=entropy, scratch=self._scratch)
        self._stop = threading.Event()
        self._attendance = Attendance(
            credentials=lambda: self._credentials,
            address=address,
            software=software,
            backoff=Backoff(entropy=entropy),
            stop=self._stop,
        )
        self._exchanges: dict[int, Exchange] = {}
        self._refused: dict[int, str] = {}
        self._published: object = None
        self._reported: SignedHead | None = None
        self._unreported = ""
        self._next_renewal: datetime | None = None
        self._apart: timedelta | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then end within seconds.

        Raises:
            ConfigurationError: another process runs this node.
        """
        with alone(self._rules.keyring.folder):
            _empty(self._scratch)
            witness = self._role is Role.WITNESS
            begun = "the node has started as a witness" if witness else "the node has started"
            telemetry.log(begun, department=self._credentials.department)
            attending = threading.Thread(
                target=self._attendance.run, args=(self,), name="attendance", daemon=True
            )
            attending.start()
            if not witness:
                threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
            stop.wait()
            self._stop.set()
            for exchange in self._exchanges.values():
                exchange.stop()
            self._attendance.interrupt()
            attending.join(_GRACE)
            for exchange in self._exchanges.values():
                exchange.join(_GRACE / max(1, len(self._exchanges)))
            _empty(self._scratch)
            telemetry.log("the node has stopped")

    # --- the duties of attendance ---

    def arrived(self, coordinator: Coordinator) -> None:
        """Tell the coordinator what it may not know: the catalogue, decisions not yet heard."""
        self._published = self._reported = None
        self._publish(coordinator)
        self._report_head(coordinator)
        for number, decision in self._rules.approvals.unsubmitted():
            try:
                coordinator.submit(decision.approval)
                self._rules.approvals.submitted(number)
            except DatalabbetError as error:
                telemetry.failed("a decision was not submitted", error, study=decision.study.study)

    def noticed(self, notice: Notice, coordinator: Coordinator) -> bool:
        """Do what is asked now, as far as the rules allow; True when the certificate is fresh."""
        self._look_at_clock(notice.now)
        self._publish(coordinator)
        self._report_head(coordinator)
        self._attend_runs(notice.assignments)
        return self._renew_when_due(coordinator)

    # --- inside ---

    def _publish(self, coordinator: Coordinator) -> None:
        """Publish the declarations when a file has changed; a bad file changes nothing."""
        if self._role is Role.WITNESS:
            return  # a witness has no datasets
        stamp: object = None
        try:
            stamp = self._rules.shelf.stamp()
            if stamp == self._published:
                return
            self._published = stamp  # a file that is not valid is reported once, not each time
            declarations = tuple(self._rules.shelf.declarations().values())
            coordinator.publish(declarations)
            telemetry.log("the catalogue was published", number=len(declarations))
        except DatalabbetError as error:
            telemetry.failed("the catalogue was not published", error)

    def _report_head(self, coordinator: Coordinator) -> None:
        """Tell the ledger's newest head when it has changed; the coordinator keeps it for auditors.

        Why it could not be told is said once; what the coordinator refuses is not told again.
        """
        signed: SignedHead | None = None
        try:
            journal = self._rules.journal
            with journal.database.read() as connection:
                journal.book(connection)  # held against the head before the head is told
                signed = journal.head(connection)
            if signed != self._reported:
                coordinator.report_head(signed)
            self._reported, self._unreported = signed, ""
        except DatalabbetError as error:
            if isinstance(error, RefusedError):
                self._reported = signed
            if error.message != self._unreported:
                self._unreported = error.message
                telemetry.failed("the ledger's head was not reported", error)

    def _attend_runs(self, assignments: tuple[Assignment, ...]) -> None:
        wanted = {item.run_id: item for item in assignments}
        for run_id in [run for run, item in self._exchanges.items() if not item.alive]:
            del self._exchanges[run_id]
        for run_id in self._exchanges.keys() - wanted.keys():
            self._exchanges.pop(run_id).stop()
            telemetry.log("a run has ended here", run=run_id)
        for run_id in self._refused.keys() - wanted.keys():
            del self._refused[run_id]
        for run_id in wanted.keys() - self._exchanges.keys():
            self._take_part(wanted[run_id])

    def _take_part(self, assignment: Assignment) -> None:
        """Open the run's stream, if the study is approved here; else say once why not."""
        run_id = assignment.run_id
        try:
            study = self._runs.open(assignment.study_hash)
        except DatalabbetError as error:
            if self._refused.get(run_id) != error.message:
                self._refused[run_id] = error.message
                telemetry.failed("a run was refused", error, run=run_id)
            return
        self._refused.pop(run_id, None)
        telemetry.log("a run has begun here", run=run_id, study=study.study)
        exchange = Exchange(
            run_id,
            prepare=lambda: self._prepare(run_id, study),
            connection=self._attendance.connection,
            backoff=Backoff(entropy=self._entropy),
        )
        self._exchanges[run_id] = exchange
        exchange.start()

    def _prepare(self, run_id: int, study: AnyStudy) -> Answering:
        return RunWork(
            study=study,
            run_id=run_id,
            node_id=self._credentials.membership.node_id,
            steps=self._runs.work(study, run=run_id),
            failed=lambda error: telemetry.failed("a step was not done", error, run=run_id),
        )

    def _renew_when_due(self, coordinator: Coordinator) -> bool:
        now = self._clock()
        if not self._credentials.certificate.due(now):
            return False
        if self._next_renewal is not None and now < self._next_renewal:
            return False
        self._next_renewal = now + _RENEWAL_PAUSE
        try:
            self._credentials = renew(self._rules.keyring, coordinator, now=now)
        except DatalabbetError as error:
            telemetry.failed("the certificate was not renewed", error)
            return False
        expires = self._credentials.certificate.not_after.isoformat()
        telemetry.log("the certificate was renewed", expires=expires)
        return True

    def _look_at_clock(self, theirs: datetime) -> None:
        apart = self._clock() - theirs
        if self._apart is not None and abs(apart - self._apart) < timedelta(seconds=1):
            return
        self._apart = apart
        try:
            clock.note(self._rules.keyring, apart)
        except DatalabbetError as error:
            telemetry.failed("the clocks' difference was not noted", error)
        if abs(apart) > clock.SKEW:
            telemetry.log(
                "this machine's clock and the coordinator's are apart",
                level=logging.WARNING,
                seconds=round(apart.total_seconds()),
            )

    @property
    def credentials(self) -> Credentials:
        """Give the credentials in use."""
        return self._credentials


def _empty(folder: Path) -> None:
    """Remove encoded records that a killed process left behind."""
    shutil.rmtree(folder, ignore_errors=True)


def _warm_up() -> None:
    """Import torch and opacus (seconds) while the node waits, so that no first step need."""
    import node.work.sum_bench  # noqa: PLC0415
    import node.work.workbench  # noqa: F401, PLC0415
