# -*- coding: utf-8 -*-
"""Folding, words, names and descriptions: the same on every Python."""
from __future__ import unicode_literals

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from docker_registry_index.engine import errors
from docker_registry_index.engine.store import text
from docker_registry_index.engine._compat import monotonic, text_type

ANYTHING = st.text(st.characters(blacklist_categories=('Cs',)), max_size=40)
#: Few characters, so that those that matter stand side by side.
ROUGH = st.text(st.sampled_from('ab \t\n\x00\x1b\x1f\x7f\x85\xa0\u3000\u2028'
                                '.(-é日\U0001f433K'), max_size=130)


def characters(first, last):
    return ''.join('\\U%08x' % number for number in range(first, last)
                   if not 0xD800 <= number < 0xE000).encode('ascii').decode('unicode_escape')


def test_every_python_folds_every_letter_alike():
    # Beyond these, no character has another case.
    digest = hashlib.sha256()
    for first in range(0, 0x20000, 0x1000):
        digest.update(text.fold(characters(first, first + 0x1000)).encode('utf-32-le'))
    # Of Python 2.7.18 and 3.11.7, whose Unicodes are 5.2 and 14.0.
    assert digest.hexdigest()[:20] == '3c71b9973899672e5521'


def test_a_letter_is_folded_to_one_letter():
    # No final sigma, no Turkish rules, no letters of later Unicodes or beyond a narrow build.
    assert text.fold('ABCxyz09-_./ÀÉÎÕÜ×÷ßẞ ΟΔΟΣς İIı\u212a\u212bⅧⒶＡЖԱႠǅȺ 日本\U0001f433') == (
        'abcxyz09-_./àéîõü×÷ßß οδοσς iiıkåⅷⓐａжաⴀǆⱥ 日本\U0001f433')
    for letter in '\u037f', '\u13a0', '\u1c90', '\ua7aa', '\U0001e900', '\U00010400':
        assert text.fold(letter) == letter


@given(ANYTHING, ANYTHING)
def test_a_part_of_a_name_folds_to_a_part_of_the_folded_name(one, other):
    assert text.fold(one + other) == text.fold(one) + text.fold(other)
    assert len(text.fold(one)) == len(one) and text.fold(text.fold(one)) == text.fold(one)


@pytest.mark.parametrize('prefix, expected', [
    ('a', 'b'), ('a\x7f', 'a\x80'), ('aé', 'aê'), ('\ud7fe', '\ud7ff'), ('\ud7ff', None),
    ('\uffff', None), ('a\U0001f433', None)])
def test_the_first_text_after_a_prefix_follows_all_that_begin_with_it(prefix, expected):
    assert text.first_after(prefix) == expected


def surrogates(*numbers):
    # Decoded one by one, because a literal may join two.
    return ''.join(('\\u%04x' % number).encode('ascii').decode('unicode_escape')
                   for number in numbers)


@pytest.mark.parametrize('value, expected', [
    (None, ''), ('', ''), (b'', ''), (b'\xc3\xa9', 'é'), (b'a\xffb', 'a\ufffdb'), (7, '7'),
    ('\U0001f433', '\U0001f433'), (b'\xf0\x9f\x90\xb3', '\U0001f433')] + [
    # Halves of pairs.
    ('a' + surrogates(*numbers) + 'b', 'a' + '\ufffd' * len(numbers) + 'b')
    for numbers in ((0xD800,), (0xDBFF,), (0xDC00,), (0xDFFF,), (0xDC33, 0xD83D))],
    ids=lambda value: None)
def test_any_value_becomes_well_formed_text(value, expected):
    assert text.to_text(value) == expected


def test_a_surrogate_pair_of_a_narrow_build_is_one_character():
    # The pair is a whale.
    pair = surrogates(0xD83D) + surrogates(0xDC33)
    assert text.CHARACTER.findall('a' + pair + '\n') == ['a', pair, '\n']
    assert text.length('a\U0001f433é') == 3


@pytest.mark.parametrize('term, words', [
    (None, []), ('', []), (' \t\n\r\x0b\x0c\x85\xa0\u2003\u3000', []),
    ('A', ['a']), ('  B  a  B ', ['b', 'a']), (b'\xc3\x89', ['é']),
    ('a\u200bb', ['a\u200bb']), ('a\x1cb', ['a\x1cb']), ('*', []), ('** *', []),
    ('*api api* **api** a*b', ['api', 'a*b']), ('%_.', ['%_.'])], ids=lambda value: None)
def test_a_term_is_split_into_folded_words(term, words):
    assert text.split_words(term) == words


def test_many_words_take_little_time():
    words, began = ['%d' % number for number in range(50000)], monotonic()
    assert text.split_words(' '.join(words + words)) == words
    # A comparison of each with each takes a minute.
    assert monotonic() - began < 5


def test_capitals_are_split_off_by_the_places_of_characters():
    assert text.split_case('Node.js \U0001f433 API') == (
        'node.js \U0001f433 api', '0N10API')
    assert text.split_case('a-1 \U00010400') == ('a-1 \U00010400', '')
    # Another program may have changed it.
    assert text.join_case('api', '0A2IX7X9999999999Y') == 'Api'


@given(st.one_of(ANYTHING, ROUGH))
@example('İ\u212aΣς\U0001f433Ⅷ12É3')
def test_split_text_is_joined_again(given_text):
    folded, case = text.split_case(given_text)
    assert folded == text.fold(given_text) and text.join_case(folded, case) == given_text
    assert bool(case) == (folded != given_text)


def test_a_character_that_controls_a_terminal_is_recognized():
    assert all(text.has_control('a' + character + 'b')
               for character in '\x00\x01\x05\x1b\x1f\x7f\x80\x9f')
    assert not text.has_control(' ~\xa0é日\U0001f433')


@pytest.mark.parametrize('name', [
    'a', 'a' * 255, 'é' * 255, '日' * 255, '\U0001f433' * 250, b'library/ubuntu', 'with space', '!',
    '*', ' ', '%'], ids=lambda value: None)
def test_a_valid_name_is_returned_as_text(name):
    checked = text.check_name(name)
    assert isinstance(checked, text_type) and checked == text.to_text(name)


@pytest.mark.parametrize('problem, names', [
    ('is empty', [None, '', b'']),
    # The last has 1 000 bytes, and 1 010 in lower case.
    ('is too long', ['a' * 256, '\U0001f433' * 251, 'Ⱥ' * 10 + '\U0001f433' * 245]),
    ('has a control character', ['a\x00', 'a\nb', '\x1b[2J', 'a\x7f', 'a\x85']),
    ('is not well-formed Unicode', [b'a\xff', 'a' + surrogates(0xD800)])], ids=lambda value: None)
def test_an_invalid_name_is_refused_with_the_way_out(problem, names):
    for name in names:
        with pytest.raises(errors.InvalidName) as refused:
            text.check_name(name)
        message = str(refused.value)
        assert problem in message, name
        assert 'use 1 to 255 characters, at most 1000 bytes' in message
        assert len(message) < 250 and '\n' not in message and '\x1b' not in message


@pytest.mark.parametrize('description, clean', [
    (None, ''), ('', ''), (' \t\n ', ''), ('\x00\x1b', ''), (b'\xc3\xa9', 'é'),
    ('  a \t b\n', 'a b'), ('a\x1b[31mb', 'a[31mb'), ('a\x00b', 'ab'), ('a \x01 b', 'a b'),
    (' \x01 a', 'a'), ('a\x85\x85b', 'a b'), ('x' * 101, 'x' * 100), ('x' * 99 + ' y', 'x' * 99),
    ('\U0001f433' * 101, '\U0001f433' * 100)], ids=lambda value: None)
def test_a_description_is_cleaned(description, clean):
    assert text.clean_description(description) == clean


@given(st.one_of(ANYTHING, ROUGH))
def test_a_clean_description_fits_a_key_and_stays_as_it_is(given_text):
    clean = text.clean_description(given_text)
    assert text.clean_description(clean) == clean
    assert text.length(clean) <= 100 and not text.has_control(clean)
    for word in clean.split(' ') if clean else ():
        assert text.split_words(word) == [text.fold(word).strip('*')] * bool(word.strip('*'))


@pytest.mark.parametrize('description, tails', [
    ('', []), ('...', []), ('Node.js API', ['node.js', 'js', 'api']), ('(c) ACME', ['c)', 'acme']),
    ('x-é.日', ['x-é.日', 'é.日', '日']), ('a a', ['a', 'a']), ('100%', ['100%']), ('éa', ['éa'])],
    ids=lambda value: None)
def test_a_tail_starts_at_each_word_of_a_description(description, tails):
    assert text.word_tails(description) == tails
