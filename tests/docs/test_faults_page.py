"""docs/faults.md lists each fault in its contents, with its limits and its tests."""
import re

from tests.docs import pages

PAGE = 'docs/faults.md'
FAULTS = pages.headings(PAGE, '###')


def test_the_contents_list_every_fault_in_its_order():
    contents = pages.read(PAGE).split('\n## ')[0]
    assert re.findall(r'^- \[(.+)\]\(#(.+)\)$', contents, re.MULTILINE) == [
        (fault, pages.anchor(fault)) for fault in FAULTS]


def test_each_fault_has_what_holds_and_its_limits_and_tests():
    sections = re.split(r'^### .+\n', pages.read(PAGE), flags=re.MULTILINE)[1:]
    for fault, section in zip(FAULTS, sections):
        assert re.match(r'\n\w(?s:.+)\n\n- \*\*Limits\*\*: (?s:.+)\n- \*\*Tests?\*\*: `tests/',
                        section), fault
