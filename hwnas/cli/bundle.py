"""`hwnas verify` and `hwnas audit`: what can be done with exported files, on any machine."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.markup import escape
from rich.text import Text

from ..cost import METRICS
from ..deploy import Bundle
from ..deploy import audit as look_into
from ..deploy import verify as repeat
from ..deploy.certificate import proves_nothing, word
from ..device import find_device
from ..errors import HwnasError
from ..measure import Local
from ..transports.reach import transport_of
from .console import JSON, LUT, out, say, show_json, show_table

_BY_FIELD = {metric.field: metric for metric in METRICS.values()}


def verify(
    bundle: Path = typer.Argument(help="A folder that `hwnas export` wrote for a device, such as runs/x/devices/onnx-cpu."),
    device: str = typer.Option("", "--device", help="A device here, of the same runtime; empty takes the certificate's own name."),
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """Repeats a certificate, here and now: times the bundle's file under its budget, compares its outputs with those at export.

    Nothing in the bundle is run but the model file, by its runtime; hashes, names and links are checked first.

    Exit codes: 0 PASS, 1 FAIL or INCONCLUSIVE, 2 not a bundle, or a changed one.
    """
    opened = Bundle.open(bundle)
    certificate = opened.certificate
    try:
        chosen = find_device(device or certificate.device, lut)
    except HwnasError as error:
        if device:
            raise
        raise HwnasError(f"{error} The bundle is for {certificate.device[:80]!r}: give one of yours with --device.") from None
    check = repeat(opened, chosen)
    if json:
        show_json(
            {
                "verdict": check.verdict,
                "certified_verdict": certificate.verdict,
                "bundle": str(bundle),
                "file": certificate.certified_file,
                "device": chosen.name,
                "limits": check.limits,
                "parity": {"sqnr_db": check.parity_db, "at_least_db": check.parity_at_least_db},
                "measured": check.timing.to_dict(),
                "fingerprint": check.timing.fingerprint,
                "differences": {key: {"certificate": a, "here": b} for key, (a, b) in check.differences.items()},
            }
        )
    else:
        rows = []
        for field, kept in check.limits.items():
            text = _BY_FIELD[field].text
            keeps = Text(word(kept), style="green" if kept["keeps"] else "yellow" if kept.get("soft") else "red")
            rows.append((_BY_FIELD[field].name, text(kept["budget"]), text(kept["certified"]), text(kept["value"]), keeps))
        same = Text("kept", style="green") if check.parity_db >= check.parity_at_least_db else Text("BROKEN", style="red")
        rows.append(("same outputs", f">= {check.parity_at_least_db:.0f} dB", "", f"{min(check.parity_db, 300):.0f} dB", same))
        title = f"{certificate.certified_file} on {chosen.name}: {check.verdict} (certificate: {certificate.verdict})"
        show_table(title, ["limit", ">budget", ">then", ">here", ""], rows)
        for key, (a, b) in check.differences.items():
            out.print(escape(f"differs: {key}: {str(a)[:80]} then, {str(b)[:80]} here"), highlight=False)
        if check.verdict == "INCONCLUSIVE":
            out.print(escape(f"INCONCLUSIVE: {proves_nothing(check.timing)}"), highlight=False)
    if check.verdict != "PASS":
        raise typer.Exit(1)


def audit(
    file: Path = typer.Argument(help="An .onnx or .tflite file, of hwnas or of anyone."),
    device: str = typer.Option("", "--device", help="A device whose execution providers are asked for; empty asks for the CPU's."),
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """What a model file consists of, and which operators fall back, are slow, or only move and convert data.

    The runtime here loads the file, optimises it and runs it once on zeros, so the second column is what really runs.
    """
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    if device:
        named = find_device(device, lut).options.get("providers", ["CPU"])
        if not isinstance(transport_of(device), Local):
            say(f"{device}: what follows is the runtime of this machine; another version there may do otherwise")
        providers = tuple(name if name.endswith("ExecutionProvider") else f"{name}ExecutionProvider" for name in named)
    found = look_into(file, providers)
    if json:
        show_json(found.to_dict())
        return
    operators = dict(sorted(found.operators.items(), key=lambda item: -item[1]))
    names = list(dict.fromkeys([*operators, *(op for ops in found.runs.values() for op in ops)]))
    rows = [(op, operators.get(op, ""), *(ops.get(op, "") for ops in found.runs.values())) for op in names]
    columns = ["operator", ">in the file", *(f">run by {who.removesuffix('ExecutionProvider')}" for who in found.runs)]
    show_table(f"{file}: {found.format}, {found.layout}", columns, rows)
    for finding in found.findings:
        out.print(escape(f"{finding.kind}: {finding.count} x {finding.operator}: {finding.what}"), highlight=False, soft_wrap=True)
    if not found.findings:
        out.print("nothing falls back, nothing only moves or converts data")
