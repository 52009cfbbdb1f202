"""A client of DynamoDB that answers what a test has written."""
import threading


class ThrottlingClient(object):
    """A scripted client that also describes tables, as a RetryingClient needs for its advice.

    :param described: a response of DescribeTable, or an error.
    :param responses: of the other requests; see ScriptedClient."""

    def __init__(self, described, *responses):
        self._described, self._others = ScriptedClient(described), ScriptedClient(*responses)
        self.described, self.requests = self._described.requests, self._others.requests
        self.thread = self._others.thread

    def call(self, operation, **arguments):
        client = self._described if operation == 'describe_table' else self._others
        return client.call(operation, **arguments)

    @property
    def batches(self):
        """The items or keys of each request."""
        return self._others.batches


class ScriptedClient(object):
    """Returns one response after the other, and keeps the requests.

    :param responses: a response may be an error to raise, or a function of the request; the last
        one is repeated.
    :ivar requests: the operation and the arguments of each request."""

    def __init__(self, *responses):
        self._responses = list(responses)
        self.requests = []
        self.thread = threading.local()

    def call(self, operation, **arguments):
        self.requests.append((operation, arguments))
        response = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        if isinstance(response, Exception):
            raise response
        return response(**arguments) if callable(response) else response

    @property
    def batches(self):
        """The items or keys of each request."""
        return [arguments['RequestItems'] for _, arguments in self.requests]
