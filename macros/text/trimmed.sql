{% macro trimmed(text) -%}
    {{ return(adapter.dispatch('trimmed')(text)) }}
{%- endmacro %}

{% macro postgres__trimmed(text) -%}
    {#- `trim` takes spaces only. These are all of Unicode's white space, and what takes no room: zero width spaces and joiners, marks of direction, the byte order mark. -#}
    btrim(
        cast({{ text }} as varchar),
        e' \u0009\u000a\u000b\u000c\u000d\u001c\u001d\u001e\u001f\u0085\u00a0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff'
    )
{%- endmacro %}
