"""The node's ClientApp for linked studies: that of a department, of a server, or of both in one.

The handlers turn records into documents and bytes, and back; rules, charges and work are
`node.gate.linked` and `node.gate.server`. The names on the wire are in `protos.linked`.
"""

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from models import documents
from models.governance.linked import LinkedStudy
from models.linkage.plan import TOTALS, plan
from models.replicated.messages import Begin, Mixes
from node.flower.keys_app import action, joining_app, reply
from node.flower.records import document, elements, elements_of, number, octets, octets_of
from node.gate.linked_part import Holding, LinkedPart, Serving
from protos import linked as wire
from protos.sums import MOST_RAW

_FOR_ALL = frozenset({wire.OFFER, wire.JOIN})
_FOR_DEPARTMENTS = frozenset({wire.MIX, wire.SPINE, wire.SEEDS, wire.SHARE, wire.TOTALS})
_FOR_SERVERS = frozenset({wire.BEGIN, wire.FOLD, wire.CROSS, wire.OPEN, wire.ERASE})

_CHUNK = "chunk"
_TAG = 16
_SECOND = 2
"""The server that gets its part from the coordinator itself, which has nothing to seal from it."""


def accepted(part: LinkedPart) -> frozenset[str]:
    """Give the message types that are answered: those of the node's own parts."""
    own = _FOR_DEPARTMENTS if part.holding is not None else frozenset[str]()
    return _FOR_ALL | own | (_FOR_SERVERS if part.serving is not None else frozenset())


def linked_app(part: LinkedPart) -> ClientApp:
    """Give the ClientApp of one run, whose work is done by `part`."""
    app = joining_app(part)
    if part.holding is not None:
        _departments(app, part.study, part.holding)
    if part.serving is not None:
        _servers(app, part.study, part.serving)
    return app


def message_limit(study: LinkedStudy) -> int:
    """Give the most bytes a message of the study's runs may have, either way."""
    agreed = plan(study)
    bodies = sum(_body(study, name) for name in study.departments)
    return max(bodies, _turned(study), agreed.noise.length * agreed.ring.octets) + 2 * MOST_RAW


def _departments(app: ClientApp, study: LinkedStudy, holding: Holding) -> None:
    chunks = plan(study).chunks(study.register.residents)

    @app.query(action(wire.MIX))
    def mix(message: Message, context: Context) -> Message:
        del context
        return reply(message, {"mix": octets(documents.write(holding.mix()))})

    @app.query(action(wire.SPINE))
    def spine(message: Message, context: Context) -> Message:
        del context
        said = holding.spine(document(message.content, Mixes, name="mixes"))
        return reply(message, {"spine": octets(documents.write(said))})

    @app.query(action(wire.SEEDS))
    def seeds(message: Message, context: Context) -> Message:
        del context
        return reply(message, {"seeds": octets(documents.write(holding.seeds()))})

    @app.train(action(wire.SHARE))
    def share(message: Message, context: Context) -> Message:
        del context
        chunk = number(message.content, _CHUNK, most=chunks)
        return reply(message, {wire.BODY: octets(holding.share(chunk))})

    @app.train(action(wire.TOTALS))
    def totals(message: Message, context: Context) -> Message:
        del context
        return reply(message, {wire.BODY: octets(holding.totals())})


def _servers(app: ClientApp, study: LinkedStudy, serving: Serving) -> None:
    agreed = plan(study)
    ring, chunks = agreed.ring, agreed.chunks(study.register.residents)
    bodies = {f"{wire.BODY}.{name}": _body(study, name) for name in study.departments}
    totals = dict.fromkeys(bodies, TOTALS * ring.octets + _TAG)

    @app.query(action(wire.BEGIN))
    def begin(message: Message, context: Context) -> Message:
        del context
        begun = serving.begin(document(message.content, Begin, name="begin"))
        return reply(message, {"begun": octets(documents.write(begun))})

    @app.train(action(wire.FOLD))
    def fold(message: Message, context: Context) -> Message:
        del context
        chunk = number(message.content, _CHUNK, most=chunks)
        turned = serving.fold(chunk, _named(octets_of(message.content, bodies)))
        if turned is None:
            return reply(message, {})
        if serving.index == _SECOND:
            return reply(message, {wire.TURNED: octets(turned)})
        words = ring.read(turned, length=len(turned) // ring.octets)
        return reply(message, {wire.TURNED: elements(words)})

    @app.train(action(wire.CROSS))
    def cross(message: Message, context: Context) -> Message:
        del context
        most = _turned(study)
        if serving.index == _SECOND:
            turned = elements_of(
                message.content, wire.TURNED, kind=ring.dtype, most=most // ring.octets
            )
        else:
            turned = octets_of(message.content, {wire.TURNED: most})[wire.TURNED]
        serving.cross(number(message.content, _CHUNK, most=chunks), turned)
        return reply(message, {})

    @app.train(action(wire.OPEN))
    def open_(message: Message, context: Context) -> Message:
        del context
        found = serving.open(_named(octets_of(message.content, totals)))
        return reply(message, {"sum": elements(ring.read(found, length=agreed.noise.length))})

    @app.query(action(wire.ERASE))
    def erase(message: Message, context: Context) -> Message:
        del context
        return reply(message, {"erased": octets(documents.write(serving.erase()))})


def _body(study: LinkedStudy, name: str) -> int:
    """Give the most octets of a department's body of a chunk."""
    agreed = plan(study)
    return agreed.rows * agreed.layout.columns(name) * agreed.ring.octets + _TAG


def _turned(study: LinkedStudy) -> int:
    """Give the most octets of a part of the derived columns of a chunk."""
    agreed = plan(study)
    crossed = sum(item.width for item in agreed.layout.derived)
    return agreed.rows * crossed * agreed.ring.octets + _TAG


def _named(found: dict[str, bytes]) -> dict[str, bytes]:
    """Give bodies by department."""
    return {name.removeprefix(f"{wire.BODY}."): data for name, data in found.items()}
