"""The engine stand-in: a tiny vLLM that parses, serves and publishes as the release it is told to be.

What belongs here: what a subscriber, an operator or a kubelet can see of a vLLM process (its
command line, its log lines, its HTTP answers, its ZMQ sockets and its exit status). No model runs.
"""
