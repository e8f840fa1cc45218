"""The stand-in for AIBrix's gateway-plugins: its behaviour towards KV events, without Envoy.

What belongs here: what the operator can observe of the real gateway (environment, log lines,
metrics, subscriptions, stalls, routing by prefix) in each release that differs. Nothing of kvsync
is imported, so that a mistake there cannot hide here.
"""
