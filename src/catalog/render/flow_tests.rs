//! What templates are found to do with values.

use super::*;

const PATHS: [&str; 7] = [
    "admin_user",
    "key_of_wifi",
    "keys[].value",
    "lines[].password",
    "lines[].user",
    "unit.mac",
    "url.token",
];

/// `expect`: the paths that are used, or `*`.
fn check(source: &str, expect: &str) {
    let used = of([Some(source)].into_iter());
    let paths = PATHS.into_iter().filter(|path| !used.spares(path));
    let paths: Vec<&str> = paths.collect();
    let told = if used.all {
        "*".to_owned()
    } else {
        paths.join(" ")
    };
    assert_eq!(told, expect, "{source}");
}

#[test]
fn a_value_is_only_written() {
    for source in [
        "x = {{ admin_user }}{# admin_user | upper #}",
        "x = {{- admin_user ~ \":\" ~ unit.mac -}}\n",
        "{{ admin_user | default(unit.mac | default(\"\")) }}",
        "{% if admin_user is defined and (url.token or not unit.mac) %}{% endif %}",
        "{{ admin_user if unit.mac else url.token }}{{ admin_user or unit.mac }}",
        "{% set login = admin_user is not defined %}{% if login == true %}{% endif %}",
        "{% set name = admin_user %}{{ name }}{% if name %}{% endif %}",
        "{% for line in lines %}{{ line.user }}{{ line.n + 1 }}{{ loop.index }}{% endfor %}",
        "{% for line in lines if line.enabled %}{{ line[\"user\"] }}{% endfor %}",
        "{% set first = lines | first %}{{ first.user }}{{ lines[1].user }}{{ lines | length }}",
        "{% set taken = lines | map(attribute=\"n\") | list %}{% if 1 in taken %}{% endif %}",
        "{% set own = keys | selectattr(\"page\", \"eq\", \"phone\") | list %}\
         {% for key in own %}{{ key.value or key.label }}{% endfor %}",
        "{% set a = namespace(rows=[]) %}{% for line in lines %}\
         {% set a.rows = a.rows + [line] %}{% endfor %}\
         {% for one in a.rows %}{{ one.user }}{% endfor %}",
        "{% macro m(a) %}{{ a | upper }}{{ admin_user }}{% endmacro %}{{ m(\"x\") }}",
    ] {
        check(source, "");
    }
}

#[test]
fn a_value_is_used() {
    check("{{ admin_user | upper }}", "admin_user");
    check("{{ admin_user | default(\"\") | trim }}", "admin_user");
    check(
        "{{ admin_user[1:] }}{{ unit.mac[0] }}",
        "admin_user unit.mac",
    );
    check("{% if \"#\" in admin_user %}{% endif %}", "admin_user");
    check("{{ 1 if admin_user == \"a\" else 2 }}", "admin_user");
    check(
        "{% set a = admin_user %}{% set b = a ~ 1 %}{{ b | upper }}",
        "admin_user",
    );
    check("{{ {\"a\": 1}[admin_user] | default(2) }}", "admin_user");
    check(
        "{% for x in [admin_user] %}{{ x }}{% endfor %}",
        "admin_user",
    );
    check("{% for x in admin_user %}{% endfor %}", "admin_user");
    check("{{ unit.mac ~ \"a\" == unit.serial }}", "unit.mac");
    check("{{ unit | string }}", "unit.mac");
    check(
        "{% if unit.mac is startingwith(admin_user) %}{% endif %}",
        "admin_user unit.mac",
    );
    check(
        "{% for line in lines %}{{ line.user | int }}{% endfor %}",
        "lines[].user",
    );
    check(
        "{{ lines | map(attribute=\"user\") | join }}",
        "lines[].user",
    );
    check(
        "{{ (lines | last)[admin_user] }}",
        "admin_user lines[].password lines[].user",
    );
    check("{{ lines[0].user[0] }}", "lines[].user");
    check(
        "{{ lines | sort(attribute=\"n\") | list }}",
        "lines[].password lines[].user",
    );
    check("{{ lines ~ \"\" }}", "lines[].password lines[].user");
    check(
        "{% for key in keys %}{{ loop.previtem.value | upper }}{% endfor %}",
        "keys[].value",
    );
    check(
        "{% for line in lines %}{% for key in keys %}{{ quoted(line.user, key) }}{% endfor %}{% endfor %}",
        "keys[].value lines[].user",
    );
    check(
        "{% set a = namespace(x=admin_user) %}{% if a.x == \"\" %}{% endif %}",
        "admin_user",
    );
    check(
        "{% set a = namespace(x=\"\") %}{% set a.x = url.token %}{{ a.x | length }}",
        "url.token",
    );
    check(
        "{% import \"a/b.j2\" as b %}{% set c = admin_user %}{{ b.c | upper }}",
        "admin_user",
    );
    check(
        "{% set t %}a {{ admin_user }}{% endset %}{{ t | upper }}",
        "admin_user",
    );
    check(
        "{% filter upper %}{{ admin_user }}{% endfilter %}",
        "admin_user",
    );
    check("{% set a = quoted(admin_user) %}", "*");
    check("{{ quoted(1) ~ \"a\" }}", "*");
    check(
        "{% autoescape false %}{{ admin_user }}{% endautoescape %}",
        "*",
    );
    check("{% include admin_user %}", "*");
    check("{% set t %}{% include \"a/b.j2\" %}{% endset %}", "*");
    check("{% if %}", "*");
}
