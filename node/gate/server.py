"""One run of a linked study at one of its servers, which computes on shares of others' records.

It reads nothing from disk and keeps nothing there: what it holds of a run is in memory, under keys
of this life of the program, and is gone with it.
"""

from collections.abc import Mapping

from models import documents
from models.errors import NotJoinedError, ProtocolViolationError, RefusedError
from models.governance.linked import LinkedStudy
from models.linkage import leaving
from models.linkage.plan import plan
from models.randomness import Entropy
from models.replicated import sealing
from models.replicated.messages import Begin, Begun, Erased, From
from models.replicated.seeds import Seed
from models.replicated.server import Server
from models.replicated.sharing import Held
from models.replicated.zero import Pairs
from node.gate.gate import Gate
from node.gate.joining import Joining
from node.gate.linked_part import permit
from node.gate.spine_boxes import Snapshot, same


class Computing:
    """Server 1 or 2 of one run of one study that its steward approved.

    Formal guarantee: that of `models.replicated.server`, for shares whose seeds came in boxes from
    departments that the approved study names, which all hold the same register by what each of
    them sealed for this server. One vector leaves, once, with this server's share of the noise of
    the study's plan, after all chunks have come in order. A second beginning is refused, and after
    a restart nothing is left that could be opened.
    """

    def __init__(
        self,
        *,
        study: LinkedStudy,
        run: int,
        member: str,
        joining: Joining,
        gate: Gate,
        entropy: Entropy,
    ) -> None:
        """Keep the rules."""
        self.study = study
        self._hash = study.digest()
        self._run = run
        self._member = member
        self._joining = joining
        self._gate = gate
        self._entropy = entropy
        self._begin = ""
        self._residents = 0
        self._server: Server | None = None
        self._erased: Erased | None = None

    @property
    def index(self) -> int:
        """Give which server this is: 1 or 2."""
        return 1 + self.study.committee.names.index(self._member)

    def begin(self, begin: Begin) -> Begun:
        """Take the departments' seeds and keys, if all of them have the same register.

        Raises:
            NotJoinedError: the members have not agreed on keys.
            RefusedError: the registers differ; or the run was begun with something else before.
            ProtocolViolationError: a box is missing or does not open.
        """
        permit(self._gate, self.study, study_hash=self._hash)
        self._joining.pin()
        asked = documents.digest(documents.write(begin), domain="linked-begin")
        if not self._begin:
            self._residents = self._agreed(begin)
            self._server = self._made(begin)
            self._begin = asked
        elif asked != self._begin:
            raise RefusedError("the run was begun here with other seeds before")
        begun = Begun(residents=self._residents)
        self._gate.leave(self.study, leaving.BEGUN, {"begun": documents.write(begun)})
        return begun

    def fold(self, chunk: int, bodies: Mapping[str, bytes]) -> bytes | None:
        """Take a chunk in; give what goes to the server before, or None. Raises as `Server.fold`.

        Raises:
            NotJoinedError: the run was not begun in this life of the node.
        """
        turned = self._begun().fold(chunk, bodies)
        if turned is not None:
            self._gate.leave(self.study, f"{leaving.TURNED}/{chunk}", {"turned": turned})
        return turned

    def cross(self, chunk: int, turned: bytes) -> None:
        """Take what the server after has sent. Raises as `Server.cross`, and as `fold`."""
        self._begun().cross(chunk, turned)

    def open(self, bodies: Mapping[str, bytes]) -> bytes:
        """Give this server's part of all tables, with its noise: once, or the same bytes again.

        Raises: as `Server.open`, and as `fold`.
        """
        part = self._begun().open(bodies, self._entropy)
        agreed = plan(self.study)
        words = agreed.ring.read(part, length=agreed.noise.length)
        scale = agreed.noise.scale or None
        self._gate.leave(self.study, leaving.OPENED, {"sum": words}, scale=scale)
        return part

    def erase(self) -> Erased:
        """Forget all shares of the run, and say so.

        Raises:
            NotJoinedError: the run was not begun in this life of the node.
        """
        permit(self._gate, self.study, study_hash=self._hash)
        if self._erased is None:
            self._erased = Erased(chunks=self._begun().erase())
            self._server = None
            if self._member not in self.study.departments:
                self._joining.leave()  # the keys of the boxes, which the coordinator still has
        self._gate.leave(self.study, leaving.ERASED, {"erased": documents.write(self._erased)})
        return self._erased

    def close(self) -> None:
        """Forget all shares of the run."""
        if self._server is not None:
            self._server.erase()
            self._server = None

    def _begun(self) -> Server:
        permit(self._gate, self.study, study_hash=self._hash)
        if self._server is None:
            raise NotJoinedError("this node has no shares of the run (any more)")
        return self._server

    def _agreed(self, begin: Begin) -> int:
        opened = self._opened(begin.spines, purpose=sealing.SPINE)
        return same(
            self.study,
            {name: Snapshot.read(octets, sender=name) for name, octets in opened.items()},
        )

    def _made(self, begin: Begin) -> Server:
        boxes = self._opened(begin.seeds, purpose=sealing.SEEDS)
        names = self.study.committee.names
        (other,) = (name for name in names if name != self._member)
        return Server(
            self.study,
            run=self._run,
            index=self.index,
            residents=self._residents,
            held={name: Held.in_box(octets, index=self.index) for name, octets in boxes.items()},
            pairs=Pairs.at_member(
                self.index,
                given=Seed.read(begin.pair),
                secret=self._joining.secret(other),
                names=names,
                study=self._hash,
                run=self._run,
            ),
        )

    def _opened(self, boxes: tuple[From, ...], *, purpose: str) -> dict[str, bytes]:
        """Open one box of each department."""
        found: dict[str, bytes] = {}
        for item in boxes:
            if item.sender in found or item.box.to != self._member:
                raise ProtocolViolationError(f"a box of {item.sender} is there twice, or not ours")
            if item.sender not in self.study.departments:
                raise ProtocolViolationError(f"{item.sender} is no department of the study")
            key = sealing.box_key(
                self._joining.secret(item.sender),
                sender=item.sender,
                to=self._member,
                study=self._hash,
                run=self._run,
                purpose=purpose,
            )
            found[item.sender] = sealing.unboxed(key, item.box, sender=item.sender)
        missing = sorted(set(self.study.departments) - set(found))
        if missing:
            raise ProtocolViolationError(f"the boxes of {', '.join(missing)} have not come")
        return found
