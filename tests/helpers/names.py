# -*- coding: utf-8 -*-
"""Repository names: odd ones that docker-registry accepts, and of a chosen size in the index."""
from __future__ import unicode_literals

#: Names as a push sends them, all accepted by docker-registry.
ACCEPTED = ['library/nginx', 'team/c++', 't+m/x', 'team/with space', 'te am/x', 'team/100%',
            'team/%41', 'team/%252B', 'team/a%2Fb', 'a/b/c', 'a//b', 'team/..', '../x', './x',
            'team/.', 'team/*', 'team/.hidden', 'team/_x', '_catalog/x', 'MixedCase/Name',
            'library/library', 'repositories/repositories', 'team/' + 'x' * 100]
#: Names that no storage of ACCEPTED contains.
ABSENT = ['library/ngin', 'library/nginx2', 'Library/nginx', 'nginx', '', '/', 'library/',
          'library/nginx/', 'ünï/cöde', 'team/c  ', 'team/c%2B%2B', '../../etc',
          'x' * 300 + '/y', 'team/' + 'ü' * 100, 'library/..', 'library/.']


def many_words(count, first=16):
    """Return a description of so many words, each with a posting of its own.

    :param first: the number that the first word stands for; other numbers are other words."""
    return ' '.join('%x' % number for number in range(first, first + count))


def name_with_postings(count):
    """Return a name of ``count`` characters with as many postings, one for each suffix: every
    suffix ends in the only z, so none begins another."""
    return ('%s/' % ('ab-cd.' * 50)[:count - 2])[:count - 1] + 'z'
