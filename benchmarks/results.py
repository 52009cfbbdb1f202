"""The results file, benchmarks/results.json, and what its figures depend on."""
import functools
import io
import json
import os
import platform
import re
import subprocess
import time

from dev.servers.aws import DYNAMODB_LOCAL
from dev.servers.process import LOCAL, ROOT

__all__ = ['Results', 'machine']

PATH = os.path.join(ROOT, 'benchmarks', 'results.json')
_VERSIONS = ('import sys, boto3, botocore, json; json.dump([sys.version.split()[0], '
             'boto3.__version__, botocore.__version__], sys.stdout)')


class Results(dict):
    """All results: the machine, and for each part and size what was measured.

    The results of other sizes and parts stay when one is measured again on the same machine with
    the same versions. Otherwise they are dropped, because nobody may compare them."""

    @classmethod
    def read(cls):
        """Return the results in the file, perhaps none."""
        if not os.path.exists(PATH):
            return cls()
        with io.open(PATH, encoding='utf-8') as source:
            return cls(json.load(source))

    def add(self, part, size, measured, is_alone=False):
        """Set the results of a part at a size, and write the file.

        is_alone: True to drop the results of the part at other sizes.
        """
        noted = dict(rounded(measured), date=time.strftime('%Y-%m-%d'),
                     load_average=round(os.getloadavg()[0], 1))
        if self.get('machine') != machine():
            self.clear()
        self['machine'] = machine()
        self[part] = dict({} if is_alone else self.get(part, {}), **{str(size): noted})
        with io.open(PATH, 'w', encoding='utf-8') as target:
            target.write(json.dumps(self, indent=1) + '\n')


def rounded(value):
    """Return measured values with three significant digits: others differ in each run."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return float('%.3g' % value)
    return value


@functools.lru_cache(None)
def machine():
    """Return a dictionary of what ran here, each as text."""
    with open('/proc/cpuinfo') as cpu, open('/proc/meminfo') as memory:
        model = re.search(r'model name\s*: (.+)', cpu.read())
        kilobytes = int(re.search(r'MemTotal: +(\d+)', memory.read())[1])
    found = {'processor': '%s, %d cores' % (model[1] if model else platform.machine(),
                                            os.cpu_count()),
             'memory': '%.0f GB' % (kilobytes / 1e6),
             'kernel': 'Linux ' + '.'.join(platform.release().split('.')[:2]),
             'DynamoDB': 'DynamoDB Local %s, in memory' % _dynamodb_local()}
    for folder in 'py3', 'py27':
        python, boto3, botocore = json.loads(subprocess.check_output(
            [os.path.join(LOCAL, folder, 'bin', 'python'), '-c', _VERSIONS]))
        found['Python ' + python] = 'boto3 %s, botocore %s' % (boto3, botocore)
    return found


def _dynamodb_local():
    names = ' '.join(os.listdir(os.path.join(DYNAMODB_LOCAL, 'lib')))
    found = re.search(r'(?i)DynamoDBLocal-(\d[\d.]*\d)\.jar', names)
    return found[1] if found else ''
