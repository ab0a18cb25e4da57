"""Our code and the slow oracle both give the published vectors of linked runs."""

import base64
import json

import linked_shares_oracle as oracle
import linked_vectors as vectors
import numpy as np
import pytest

from models.replicated import mixing, sealing, seeds, sharing, tensors
from models.replicated.messages import Box
from models.replicated.sealing import ContentKey
from models.replicated.seeds import Seed
from models.replicated.sharing import Bound, Held, Stretch
from models.secagg import masks
from models.secagg.rings import Ring


def published(name: str):
    return json.loads((vectors.FOLDER / f"{name}.json").read_text(encoding="ascii"))


@pytest.mark.parametrize("name", ["streams", "bodies", "boxes", "spine"])
def test_the_oracle_gives_the_published_files(name: str) -> None:
    committed = (vectors.FOLDER / f"{name}.json").read_text(encoding="ascii")
    assert committed == vectors.render(vectors.every()[name])


def test_no_other_file_is_published() -> None:
    assert {path.stem for path in vectors.FOLDER.glob("*.json")} == set(vectors.every())


def test_the_oracle_stands_on_a_published_vector_of_gcm() -> None:
    # McGrew and Viega, test case 14: a zero key, nonce and block.
    found = oracle.seal(bytes(32), 0, b"", bytes(16)).hex()
    assert found == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"


@pytest.mark.parametrize("case", published("streams")["cases"], ids=lambda c: c["label"])
def test_streams(case) -> None:
    ring, seed = Ring(case["bits"]), Seed(bytes.fromhex(published("streams")["seed"]))
    found = ring.zeros(9)
    stream = seeds.keystream(seed, label=case["label"], chunk=case["chunk"], ring=ring)
    masks.apply(found, [stream])
    assert ring.write(found).hex() == case["octets"]
    matrix = tensors.tensor(found, shape=(3, 3))
    np.testing.assert_array_equal(matrix.numpy().reshape(-1), ring.decode(found))
    np.testing.assert_array_equal(tensors.words(matrix), found)


@pytest.mark.parametrize("case", published("bodies")["cases"], ids=lambda c: str(c["chunk"]))
def test_bodies(case) -> None:
    given = published("bodies")
    zeroth, first = (Seed(bytes.fromhex(each)) for each in given["seeds"])
    content = ContentKey(bytes.fromhex(given["content"]))
    bound = Bound(study=given["study"], plan=given["plan"], run=int(given["run"]))
    ring = Ring(case["bits"])
    stretch = Stretch(
        kind=case["kind"],
        department=given["department"],
        chunk=case["chunk"],
        ring=ring,
        size=len(case["values"]),
    )
    assert bound.data(stretch).hex() == case["associated"]
    values = ring.encode(np.array(case["values"], dtype=np.int64))
    body = sharing.body(values, stretch, first=(zeroth, first), content=content, bound=bound)
    assert body.hex() == case["body"]
    held = Held(zeroth=zeroth, first=first, content=content)
    found = [held.share(place, stretch, body=body, bound=bound) for place in range(3)]
    assert [ring.write(share).hex() for share in found] == case["shares"]
    assert ring.decode(sum(found[1:], found[0])).tolist() == case["values"]


@pytest.mark.parametrize("case", published("boxes")["cases"], ids=lambda c: c["purpose"])
def test_boxes(case) -> None:
    given = published("boxes")
    bound = {name: case[name] for name in ("sender", "to", "purpose")}
    secret = bytes.fromhex(given["secret"])
    key = sealing.box_key(secret, study=given["study"], run=int(given["run"]), **bound)
    assert key.hex() == case["key"]
    sealed = base64.b64encode(bytes.fromhex(case["sealed"])).decode()
    assert sealing.boxed(key, bytes.fromhex(case["data"]), to=case["to"]).data == sealed
    box = Box(to=case["to"], data=sealed)
    assert sealing.unboxed(key, box, sender=case["sender"]).hex() == case["data"]


def test_the_spine() -> None:
    given = published("spine")
    parts = {name: bytes.fromhex(part) for name, part in given["parts"].items()}
    key = mixing.common(parts, study=given["study"], run=int(given["run"]))
    assert key.octets.hex() == given["key"]
    assert mixing.order(given["ids"], key).tolist() == given["order"]
    assert mixing.digest(given["register"].encode(), key) == given["digest"]
