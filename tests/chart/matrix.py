"""Sets of values which between them set every value of the chart, each in both forms of the rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Values = dict[str, Any]

LISTED: Values = {
    "watchNamespaces": ["team-a", "team-b"],
    "gatewayAccess": {
        "gateways": [
            {"gateway": "aibrix-system/aibrix-gateway-plugins", "namespaces": ["team-a", "team-b"]},
            {"gateway": "aibrix-system/kvcache-watcher", "namespaces": ["team-a"]},
            {"gateway": "edge/gw.v2", "namespaces": ["team-b"]},
        ]
    },
}
"""The form with Roles only."""

EVERYTHING: Values = {
    "nameOverride": "kv",
    "fullnameOverride": "kv",
    "image": {
        "repository": "images.example/kv",
        "tag": "1",
        "digest": f"sha256:{'a' * 64}",
        "pullPolicy": "Always",
    },
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccount": {"name": "kv-account", "annotations": {"a": "b"}},
    "replicas": 3,
    "leaseDuration": 15,
    "objectSelector": {
        "matchLabels": {"example.com/shard": "a"},
        "matchExpressions": [
            {"key": "tier", "operator": "NotIn", "values": ["x", "y"]},
            {"key": "team", "operator": "Exists"},
        ],
    },
    "uninstall": {"undo": {"timeout": "2h"}},
    "gatewayAccess": {
        "action": "Deny",
        "gateways": [
            {"gateway": "aibrix-system/aibrix-gateway-plugins"},
            {"gateway": "prod-*/gw.v2", "namespaces": ["team-a", "squad-*"]},
        ],
    },
    "maxRolling": 3,
    "workers": 8,
    "probe": {"workers": 2, "memory": 512},
    "gatewaySilence": 90,
    "relayBudget": 1_000_000,
    "relayImages": ["images.example/relays/"],
    "metricsAddress": "[::]:9090",
    "metrics": {
        "service": {"annotations": {"a": "b"}},
        "serviceMonitor": {
            "namespace": "monitoring",
            "labels": {"release": "prometheus"},
            "interval": "15s",
            "scrapeTimeout": "5s",
            "metricRelabelings": [{"action": "drop", "regex": "process_.*"}],
        },
        "relayMonitor": {
            "namespace": "monitoring",
            "labels": {"release": "prometheus"},
            "interval": "1m",
            "scrapeTimeout": "15s",
            "metricRelabelings": [{"action": "labeldrop", "regex": "container"}],
        },
        "prometheusRule": {
            "namespace": "monitoring",
            "labels": {"release": "prometheus"},
            "runbookUrl": "https://git.example/runbook.md",
        },
        "dashboard": {
            "namespace": "monitoring",
            "label": "dashboards",
            "labelValue": "yes",
            "annotations": {"folder": "AIBrix"},
        },
    },
    "logLevel": "debug",
    "logFormat": "json",
    "extraArgs": ["--templates=/templates"],
    "extraEnv": [{"name": "KVSYNC_A", "value": "1"}],
    "extraVolumes": [{"name": "templates", "configMap": {"name": "templates"}}],
    "extraVolumeMounts": [{"name": "templates", "mountPath": "/templates"}],
    "extraObjects": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "{{ .Release.Name }}-more"},
            "data": {"a": "{{ .Values.logLevel }}"},
        },
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Chart.Name }}-text\n",
    ],
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    "podSecurityContext": {"fsGroup": 65532},
    "securityContext": {"runAsUser": 65533},
    "probes": {
        "startup": {"failureThreshold": 40},
        "liveness": {"periodSeconds": 20},
        "readiness": {"initialDelaySeconds": 1},
    },
    "terminationGracePeriodSeconds": 20,
    "podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": "50%"},
    "podLabels": {"team": "ml"},
    "podAnnotations": {"a": "b"},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        "apiServer": {"ports": [6443], "cidrs": ["10.0.0.1/32"]},
        "engines": {"ports": ["5000-6000", 9000], "cidrs": ["192.168.0.0/16"]},
        "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}],
    },
}
"""Every value that is no switch, changed."""

SWITCHES: dict[str, Values] = {
    "no service account": {"serviceAccount": {"create": False}},
    "no rights": {"rbac": {"create": False}},
    "no rights, own undo": {
        "rbac": {"create": False},
        "uninstall": {"undo": {"serviceAccountName": "undoer"}},
    },
    "no gateway logs": {"rbac": {"gatewayLogs": False}},
    "no engine logs": {"rbac": {"engineLogs": False}},
    "no aggregation": {"rbac": {"aggregate": False}},
    "aggregation": {"rbac": {"aggregate": True}},
    "no CRD": {"crds": {"enabled": False}},
    "CRD given up": {"crds": {"keep": False}},
    "no undo": {"uninstall": {"undo": {"enabled": False}}},
    "no policy": {"gatewayAccess": {"policy": {"enabled": False}}},
    "policy": {"gatewayAccess": {"policy": {"enabled": True}}},
    "no admission": {"admission": {"enabled": False}},
    "admission policy": {"admission": {"enabled": True}},
    "no budget": {"podDisruptionBudget": {"enabled": False}},
    "policies for models": {"modelNetworkPolicy": {"enabled": True}},
    "network policy": {"networkPolicy": {"enabled": True}},
    "metrics service": {"metrics": {"service": {"enabled": True}}},
    "service monitor": {"metrics": {"serviceMonitor": {"enabled": True}}},
    "relay monitor": {"metrics": {"relayMonitor": {"enabled": True}}},
    "alerts": {"metrics": {"prometheusRule": {"enabled": True}}},
    "dashboard": {"metrics": {"dashboard": {"enabled": True}}},
    "no metrics": {"metricsAddress": "off", "networkPolicy": {"enabled": True}},
}
"""Every switch, turned."""


def merged(*parts: Values) -> Values:
    """Values as Helm merges them: objects by key, everything else replaced."""
    whole: Values = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if both else value
    return whole


def at_path(path: str, value: Any) -> Values:
    """The values that set this one."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def combinations() -> Iterator[tuple[str, Values]]:
    """Each set of values, with a name."""
    for form, base in (("all namespaces", Values()), ("listed namespaces", LISTED)):
        yield form, base
        yield f"{form}, everything", merged(EVERYTHING, base)
        for switch, values in SWITCHES.items():
            yield f"{form}, {switch}", merged(base, values)
