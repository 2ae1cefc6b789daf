"""A person's readings as a FHIR R4 bundle of observations, for other services. Pure.

Codes are LOINC's of the vital signs profile (HL7 FHIR R4, "Vital Signs"), units UCUM's. The
resistance of the body has no code there: it is named in words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cloud_agent.readings.listing import Reading
from cloud_agent.readings.values import QUANTITIES
from protocol import reading as wire

# The code systems by their registered object identifiers.
_LOINC: Final = "urn:oid:2.16.840.1.113883.6.1"
_UCUM: Final = "urn:oid:2.16.840.1.113883.6.8"

# Quantity -> code and what LOINC calls it.
_CODES: Final = {
    "weight": ("29463-7", "Body weight"),
    "systolic": ("8480-6", "Systolic blood pressure"),
    "diastolic": ("8462-4", "Diastolic blood pressure"),
    "mean": ("8478-0", "Mean blood pressure"),
    "pulse": ("8867-4", "Heart rate"),
}
_PANEL: Final = ("85354-9", "Blood pressure panel with all children optional")


def bundle(readings: Iterable[Reading]) -> dict[str, Any]:
    """A bundle of type collection, one observation a reading, in the order given."""
    entries = [{"fullUrl": _url(each), "resource": observation(each)} for each in readings]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def observation(reading: Reading) -> dict[str, Any]:
    """One reading. A blood pressure is a panel with its components."""
    quantities = {each.name: each for each in QUANTITIES.get(reading.content.kind, ())}
    measured = {
        name: {
            "value": float(text),
            "unit": quantities[name].unit,
            "system": _UCUM,
            "code": quantities[name].unit,
        }
        for name, text in reading.content.texts().items()
    }
    found: dict[str, Any] = {
        "resourceType": "Observation",
        "id": reading.id.hex(),
        "status": reading.status,
        "category": [{"text": "vital-signs"}],
        "effectiveDateTime": reading.taken_text,
    }
    if reading.device is not None:
        found["device"] = {"display": reading.device}
    if reading.taken_quality == "interval":
        found["note"] = [{"text": f"time uncertain by {reading.taken_uncertainty_s} s either way"}]
    if reading.content.kind == wire.KIND_BLOOD_PRESSURE:
        return found | {
            "code": _coded(*_PANEL),
            "component": [_component(name, value) for name, value in measured.items()],
        }
    weight = measured.pop("weight")
    found |= {"code": _coded(*_CODES["weight"]), "valueQuantity": weight}
    if measured:
        found["component"] = [_component(name, value) for name, value in measured.items()]
    return found


def _component(name: str, quantity: dict[str, Any]) -> dict[str, Any]:
    code = _CODES.get(name)
    said = {"text": name} if code is None else _coded(*code)
    return {"code": said, "valueQuantity": quantity}


def _coded(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": _LOINC, "code": code, "display": display}]}


def _url(reading: Reading) -> str:
    number = reading.id.hex()
    parts = (number[:8], number[8:12], number[12:16], number[16:20], number[20:])
    return f"urn:uuid:{'-'.join(parts)}"
