"""Go's templates: what they print, what is malformed and where; any text gives a result or an error of ours."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kist.cli.template import Record, Template, TemplateError, typed
from kist.cli.template.functions import FUNCTIONS
from kist.cli.template.printf import sprintf
from kist.cli.template.tabwriter import align

DATA: dict[str, Any] = {
    "Id": "abc",
    "Name": "/web",
    "State": {"Running": True, "Pid": 12},
    "Config": {"Labels": {"b": "2", "a": "1"}, "Cmd": ["sh", "-c", "x y"], "Env": None, "Entrypoint": []},
    "Size": 1.5,
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/tcp": None},
        "Networks": {"bridge": {"IPAddress": "10.0.0.2"}},
    },
    "HostConfig": {"LogConfig": {"Type": "local", "Config": {}}, "PidsLimit": None},
}


def render(text: str) -> str:
    return Template(text).render(typed(DATA))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("no action }} at all", "no action }} at all"),
        ("{{.Id}} {{.ID}} {{ .Name }}", "abc abc /web"),
        ("{{$.Name}}{{with .State}}{{$.Id}}{{.Pid}}{{end}}", "/webabc12"),
        ("{{json .State}}", '{"Running":true,"Pid":12}'),
        ("{{json .Config.Labels}} {{json .Config.Env}}", '{"a":"1","b":"2"} null'),
        ("{{.State}} {{.Config.Labels}} {{.Config.Cmd}} {{.Config.Env}} {{.Size}}",
         "{true 12} map[a:1 b:2] [sh -c x y] [] 1.5"),
        ("{{.HostConfig.LogConfig.Config}} {{.HostConfig.PidsLimit}}", "map[] <no value>"),
        ('{{index .Config.Labels "a"}}|{{index .Config.Labels "c"}}|{{.Config.Labels.c}}', "1||<no value>"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
        ("{{range $k, $v := .NetworkSettings.Ports}}{{$k}}={{if $v}}{{(index $v 0).HostPort}}{{else}}-{{end}} {{end}}",
         "80/tcp=8080 90/tcp=- "),
        ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "10.0.0.2"),
        ("{{range $i, $word := .Config.Cmd}}{{if $i}},{{end}}{{$word}}{{end}}", "sh,-c,x y"),
        ("{{range .Config.Env}}x{{else}}empty{{end}}", "empty"),
        ('{{range .Config.Cmd}}{{if eq . "-c"}}{{continue}}{{end}}{{.}};{{end}}', "sh;x y;"),
        ("{{range .Config.Cmd}}{{.}}{{break}}{{end}}", "sh"),
        ("{{if false}}a{{else if false}}b{{else}}c{{end}}d", "cd"),
        ("{{if true}}a{{else if true}}b{{end}}d", "ad"),
        ("{{with .Config.Env}}1{{else with .Name}}{{.}}{{else}}3{{end}}", "/web"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{$y}}{{end}}{{$x}}", "32"),
        (" a {{- /* nothing */ -}} b {{- 1 -}}\n c", " ab1c"),
        ("{{/* nothing */}}{{- 3}} {{-3}}", "3 -3"),
        ('{{.Name | printf "%-6s|%s" "a"}}', "a     |/web"),
        ('{{printf "%05d|%5d|%+d|%q|%.2f|%t|%v|%x|%c" 42 7 1 "a\\"b" 1.0 true nil 255 65}}',
         '00042|    7|+1|"a\\"b"|1.00|true|<nil>|ff|A'),
        ('{{print "a" 1 2 "b"}}{{println "c" 1}}', "a1 2bc 1\n"),
        ('{{join .Config.Cmd "+"}} {{upper "a"}}{{lower "B"}} {{title "two words"}} {{split "a:b" ":"}}',
         "sh+-c+x y Ab Two Words [a b]"),
        ('{{pad "a" 1 2}}|{{pad "" 1 2}}|{{truncate "abcdef" 3}}|{{len .Config.Cmd}}{{len "ä"}}|{{slice .Name 1 3}}',
         " a  ||abc|32|we"),
        ('{{and 1 0}}{{and 1 2}}{{or 0 "x"}}{{or 0 ""}}{{not 0}}', "02xtrue"),
        ("{{if and .Config.Env (index .Config.Env 5)}}a{{else}}b{{end}}", "b"),
        ('{{eq 1 2 1}}{{ne 1 2}}{{lt 1 2}}{{le 2 2}}{{gt "b" "a"}}{{ge 1 2}}{{eq "a" "a"}}{{eq nil nil}}',
         "truetruetruetruetruefalsetruetrue"),
        ("{{0x1f}} {{1_000}} {{017}} {{1e3}} {{1.25}} {{'a'}} {{`a\\n`}} {{\"\\u00e4\\x41\\101\\t\"}}",
         "31 1000 15 1000 1.25 97 a\\n \u00e4AA\t"),
        ('{{(index (split "a:b" ":") 1) | upper | printf "%s%s" "x"}}', "xB"),
        ('{{html "<a>"}} {{urlquery "a b"}}', "&lt;a&gt; a+b"),
    ],
)  # fmt: skip
def test_templates(text: str, printed: str) -> None:
    assert render(text) == printed


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("{{", 1, "the action is not closed"),
        ("ab {{.Name", 4, "the action is not closed"),
        ("{{.Name}", 8, "unexpected '}'"),
        ("{{}}", 3, "missing value for command"),
        ("{{if}}x{{end}}", 5, "missing value for if"),
        ("{{if .Name}}x", 3, "{{if}} has no {{end}}"),
        ("{{if .Name}}{{else}}{{else}}{{end}}", 23, "there is an {{else}} already"),
        ("{{end}}", 3, "unexpected {{end}}"),
        ("{{else}}", 3, "unexpected {{else}}"),
        ("{{break}}", 3, "{{break}} outside {{range}}"),
        ("{{jsn .}}", 3, 'function "jsn" not defined'),
        ('{{template "x"}}', 3, "{{template}} is not supported"),
        ("{{.Foo}}", 3, "can't evaluate field Foo"),
        ("{{.Name.Foo}}", 8, "can't evaluate field Foo in a string"),
        ("{{.State.Health.Status}}", 16, "nil pointer evaluating field Status"),
        ("{{$x}}", 3, 'undefined variable "$x"'),
        ("{{if true}}{{$x := 1}}{{end}}{{$x}}", 32, "undefined variable"),
        ("{{$x = 1}}", 3, "undefined variable $x"),
        ('{{"abc}}', 3, "the string is not closed"),
        ("{{`abc}}", 3, "the raw string is not closed"),
        ('{{"\\z"}}', 4, "unknown escape"),
        ("{{'ab'}}", 3, "a character constant"),
        ("{{12x}}", 3, "bad number '12x'"),
        ("{{/* a }}", 1, "the comment is not closed"),
        ("{{(.Name}}", 9, "unexpected '}}' in parenthesised pipeline"),
        ("{{.Name)}}", 8, "unexpected ')'"),
        ("{{.Name | 3}}", 11, "only a function or method"),
        ("{{3 4}}", 3, "what is no function"),
        ("{{nil}}", 3, "nil is not a command"),
        ("{{.Name 3}}", 3, "Name is not a method but has arguments"),
        ("{{lower 1}}", 3, "error calling lower: expected a string, not a number"),
        ("{{lower}}", 3, "wrong number of arguments for lower: want 1, got 0"),
        ("{{index .Config.Cmd 3}}", 3, "index out of range: 3"),
        ("{{range .Name}}{{end}}", 9, "range can't iterate over a string"),
        ("{{lt true false}}", 3, "invalid type for comparison"),
        ('{{eq 1 "a"}}', 3, "incompatible types for comparison"),
        ("{{eq .State .State}}", 3, "non-comparable type"),
        ('{{printf "%99999d" 1}}', 3, "the width 99999"),
        ("{{.a@b}}", 5, "unexpected '@'"),
        ("{{" + "(" * 90 + "}}", 63, "levels of nesting"),
    ],
)  # fmt: skip
def test_a_malformed_template_is_pointed_at(text: str, column: int, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text)
    assert words in caught.value.message
    assert (caught.value.line, caught.value.column) == (1, column)
    assert str(caught.value).endswith(" " * column + "^")


def test_the_caret_stands_in_the_right_line() -> None:
    with pytest.raises(TemplateError) as caught:
        render("a\nbc {{.Nme}}\nd")
    error = caught.value
    assert (error.line, error.column, error.text, error.hint) == (2, 6, "bc {{.Nme}}", "did you mean .Name?")


@pytest.mark.parametrize(
    ("text", "data", "printed"),
    [
        ("{{.Action}} {{.Actor.Attributes.name}}",
         {"Action": "prune", "Actor": {"ID": "", "Attributes": {"reclaimed": "0"}}}, "prune <no value>"),
        ('{{index .Actor.Attributes "name"}}', {"Actor": {"Attributes": {"reclaimed": "0"}}}, ""),
        ("{{with .Containers.abc}}{{.Name}}{{end}}{{len .Containers}}", {"Containers": {"def": {"Name": "web"}}}, "1"),
    ],
)  # fmt: skip
def test_a_map_with_keys_of_others_may_lack_any(text: str, data: dict[str, Any], printed: str) -> None:
    assert Template(text).render(typed(data)) == printed


_PIECES = st.sampled_from(
    ["{{", "}}", "{{-", "-}}", " ", ".", "$", "$x", ":=", "=", "|", "(", ")", ",", '"', "`", "'", "\\", "/*", "*/",
     "if", "else", "end", "range", "with", "break", "nil", "true", "1", "-2", "1.5", "%", "%5d", "\n", "ä", "\x00",
     ".Name", ".Config", ".Config.Cmd", ".State.Health", ".Config.Labels", '"a"', *FUNCTIONS]
)  # fmt: skip


def _either(text: str) -> None:
    with contextlib.suppress(TemplateError):
        render(text)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=60))
@example("{{" + "9" * 5000 + "}}")
@example("{{" + "(" * 5000)
@example("{{if 1}}" * 3000)
def test_any_text_gives_a_result_or_our_error(text: str) -> None:
    _either(text)
    _either("{{" + text + "}}")


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(_PIECES, max_size=25).map("".join))
def test_any_words_give_a_result_or_our_error(text: str) -> None:
    _either(text)
    _either("{{" + text + "}}")


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(_PIECES, max_size=8).map(" ".join))
def test_any_action_gives_a_result_or_our_error(text: str) -> None:
    _either("{{" + text + "}}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(deadline=None)  # a busy machine is no failure
@given(_JSON)
def test_json_is_the_value_again(value: Any) -> None:
    assert json.loads(Template("{{json .}}").render(typed(value))) == value


def test_a_record_has_fields_and_methods() -> None:
    record = Record("a container", {"ID": lambda: "x", "Names": lambda: "web"}, {"Label": lambda name: f"<{name}>"})
    assert Template('{{.ID}} {{.Label "a"}} {{"b" | .Label}} {{json .}}').render(record) == (
        'x <a> <b> {"ID":"x","Names":"web"}'
    )
    for text in ("{{.Label}}", "{{.Label 1 2}}", '{{.ID "x"}}', "{{.Foo}}"):
        with pytest.raises(TemplateError):
            Template(text).render(record)


def test_a_template_tells_which_fields_it_needs() -> None:
    assert Template("{{if .Size}}{{range .Names}}{{.X.Y}}{{end}}{{(.A).B}}{{end}}").fields() == {
        "Size", "Names", "X", "Y", "A", "B",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "values", "text"),
    [
        ("%d", ("x",), "%!d(string=x)"),
        ("%d", (), "%!d(MISSING)"),
        ("a", (1, "b"), "a%!(EXTRA int=1, string=b)"),
        ("%", (), "%!(NOVERB)"),
        ("100%%", (), "100%"),
        ("%z", (1,), "%!z(int=1)"),
        ("%*d|%-4d|%#x|%X|%o|%b", (4, 1, 2, 255, 255, 8, 5), "   1|2   |0xff|FF|10|101"),
        ("%e|%g|%v|%v", (1.5, 1e21, 1e-7, 100.0), "1.500000e+00|1e+21|1e-07|100"),
        ("%.2s|%q", ("abc", ["a"]), 'ab|["a"]'),
    ],
)
def test_printf_shows_what_does_not_fit(form: str, values: tuple[Any, ...], text: str) -> None:
    assert sprintf(form, values) == text


def test_columns_are_aligned_in_runs_of_lines() -> None:
    assert align("A\tB\tC\nlonger than ten\tb\tc") == ("A                 B         C\nlonger than ten   b         c")
    assert align("a\tb\nplain\nlonger than ten\tb") == "a         b\nplain\nlonger than ten   b"
    assert align("") == ""
