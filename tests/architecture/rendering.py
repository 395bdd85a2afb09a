"""Kustomize's part that our overlays use: resources, namespace, labels, replicas, images and JSON patches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

Manifest = dict[str, Any]
KNOWN = {"apiVersion", "kind", "namespace", "labels", "resources", "images", "replicas", "patches"}


def render(folder: Path) -> list[Manifest]:
    """The manifests of a kustomization. Raises `AssertionError` for a part that this does not know or that changes nothing."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(kustomization) <= KNOWN, f"{folder}: {set(kustomization) - KNOWN}"
    found: list[Manifest] = []
    for name in kustomization["resources"]:
        path = folder / name
        found += render(path.resolve()) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for each in kustomization.get("labels", []):
        for manifest in found:
            manifest["metadata"].setdefault("labels", {}).update(each["pairs"])
    for each in kustomization.get("replicas", []):
        (target,) = [one for one in found if (one["kind"], one["metadata"]["name"]) == ("Deployment", each["name"])]
        target["spec"]["replicas"] = each["count"]
    for each in kustomization.get("images", []):
        for container in (one for manifest in found for one in containers(manifest) if one["image"] == each["name"]):
            container["image"] = f"{each['newName']}:{each['newTag']}"
    for each in kustomization.get("patches", []):
        found = _patched(found, each["target"], yaml.safe_load(each["patch"]))
    return found


def containers(manifest: Manifest) -> list[Manifest]:
    """Of a workload; nothing of anything else."""
    template = manifest["spec"].get("template", {}) if "spec" in manifest else {}
    found: list[Manifest] = template.get("spec", {}).get("containers", [])
    return found


def _patched(found: list[Manifest], target: Manifest, operations: list[Manifest]) -> list[Manifest]:
    def meant(manifest: Manifest) -> bool:
        return manifest["kind"] == target["kind"] and bool(
            re.fullmatch(target.get("name", ".*"), manifest["metadata"]["name"])
        )

    assert any(map(meant, found)), f"a patch for {target} changes nothing"
    return [jsonpatch.apply_patch(manifest, operations) if meant(manifest) else manifest for manifest in found]
