"""From a target and a date to machines, megawatts and money.

In: a machine as data, what is wanted, what is assumed. Out: a `Plan`: how many of each level, month by month, what is
spent in which year, what fails, and which published systems are larger in the same unit.
Idea: nothing that is only known within bounds is written as one number. Each assumption is a `Range` with its source
and grade, the whole plan is computed for a thousand draws from all of them at once, and every answer is a `Spread`.
Not here: how long a step takes (`dojo.machine.simulate`), the page (`dojo.recipes.plan_page`).
"""
