{% macro average_rating(rating_sum, reviews) -%}
    cast(round(cast({{ rating_sum }} as numeric) / nullif({{ reviews }}, 0), 2) as numeric(3, 2))
{%- endmacro %}
