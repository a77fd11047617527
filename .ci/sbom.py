"""Write into wheels what they are made of (CycloneDX, where PEP 770 looks for it).

    python .ci/sbom.py WHEEL...

Names the package, what its metadata require, the compiler of its extensions and every
shared library that was copied in, with hashes. Rewrites each wheel in place; the same
wheel gives the same bytes. Needs the standard library only.
"""

import base64
import csv
import hashlib
import io
import json
import re
import sys
import uuid
import zipfile
from email import message_from_bytes
from pathlib import Path

NAME = "kldiv.cdx.json"
LIBRARY = re.compile(r"\.(so[.0-9]*|dylib|dll)$")
EXTENSION = re.compile(r"^kldiv/_kernels/.*\.(so|pyd)$")
CYTHON = re.compile(rb"_cython_(\d+)_(\d+)_(\d+)")


def bill(files, home):
    """The bill of materials of a wheel, from its files by name."""
    metadata = message_from_bytes(files[f"{home}/METADATA"])
    own = f"pkg:pypi/{metadata['Name']}@{metadata['Version']}"
    component = {
        "type": "library",
        "bom-ref": own,
        "name": metadata["Name"],
        "version": metadata["Version"],
        "purl": own,
        "licenses": [{"expression": metadata["License-Expression"]}],
    }
    parts = [*required(metadata), *compilers(files), *copied(files)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, contents(files))}",
        "version": 1,
        "metadata": {"component": component},
        "components": parts,
        "dependencies": [
            {"ref": own, "dependsOn": sorted(part["bom-ref"] for part in parts)}
        ],
    }


def contents(files):
    lines = sorted(f"{name} {sha256(data)}" for name, data in files.items())
    return sha256("\n".join(lines).encode())


def required(metadata):
    """What is installed beside the package, without extras."""
    for line in metadata.get_all("Requires-Dist", []):
        if "extra ==" not in line:
            name = re.match(r"[\w.-]+", line)[0]
            yield part(f"pkg:pypi/{name}", name, description=f"requires {line}")


def compilers(files):
    """Cython, whose code is in the extensions."""
    found = {
        ".".join(map(bytes.decode, version))
        for name, data in files.items()
        if EXTENSION.search(name)
        for version in CYTHON.findall(data)
    }
    for version in sorted(found):
        yield part(f"pkg:pypi/cython@{version}", "Cython", version=version)


def copied(files):
    """Shared libraries in the wheel that are none of its extensions."""
    for name, data in sorted(files.items()):
        if LIBRARY.search(name) and not EXTENSION.search(name):
            hashes = [{"alg": "SHA-256", "content": sha256(data)}]
            yield part(name, name, hashes=hashes)


def part(reference, name, **more):
    purl = {"purl": reference} if reference.startswith("pkg:") else {}
    return {"type": "library", "bom-ref": reference, "name": name, **purl, **more}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def record(files, home):
    """The list of files of a wheel, with their hashes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for name, data in files.items():
        if name != f"{home}/RECORD":
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
            writer.writerow([name, f"sha256={digest.decode().rstrip('=')}", len(data)])
    writer.writerow([f"{home}/RECORD", "", ""])
    return out.getvalue().encode()


def add(wheel):
    """Put the bill into the wheel, in the place of an older one."""
    with zipfile.ZipFile(wheel) as archive:
        entries = {one.filename: one for one in archive.infolist() if not one.is_dir()}
        files = {name: archive.read(name) for name in entries}
    (home,) = {name.split("/")[0] for name in files if ".dist-info/" in name}
    target, listing = f"{home}/sboms/{NAME}", f"{home}/RECORD"
    files.pop(target, None)
    del files[listing]
    text = json.dumps(bill(files, home), indent=2) + "\n"
    files[target] = text.encode()
    files[listing] = record(files, home)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, entries[listing].date_time)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = entries.get(name, entries[listing]).external_attr
            archive.writestr(entry, data)
    print(f"{Path(wheel).name}: {target}")


if __name__ == "__main__":
    for given in sys.argv[1:]:
        add(given)
