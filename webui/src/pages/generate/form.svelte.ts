/** The settings of the active draft as a form: its fields, what is changed, what is wrong and why. */
import { FIELD_OF_INPUT, sourcesOf } from '../../lib/drafts/draft'
import { formatNumber } from '../../lib/format'
import { t } from '../../lib/i18n'
import { checkValue, isNeeded, listFields, type Problem, type SettingField } from '../../lib/settings/fields'
import { searchFields, sortIntoSections } from '../../lib/settings/sections'
import { drafts } from '../../state/drafts.svelte'
import { server } from '../../state/server.svelte'
import { panel } from './panel.svelte'

interface Refusal {
  draftId: string
  field: string
  message: string
  /** What the field was then: another value is not refused yet. */
  value: string
}

/** Whole rows of their own, whatever the search finds of them. */
const PARTNERS: Record<string, string> = { height: 'width' }

class Form {
  readonly fields: SettingField[] = $derived(listFields(server.options, server.preset, drafts.kind, t.generate.labels))
  readonly byName: Map<string, SettingField> = $derived(new Map(this.fields.map((one) => [one.name, one])))
  readonly sections = $derived(sortIntoSections(this.fields))
  readonly changed: SettingField[] = $derived(this.fields.filter((one) => drafts.isChanged(one.name)))
  /** What the search or the filter shows; null: everything stands in its section. */
  readonly found: SettingField[] | null = $derived(this.find())
  private refusal = $state<Refusal | null>(null)

  private find(): SettingField[] | null {
    if (!panel.query.trim() && !panel.changedOnly) return null
    const matching = panel.query.trim() ? searchFields(this.fields, panel.query) : this.fields
    const shown = panel.changedOnly ? matching.filter((one) => drafts.isChanged(one.name)) : matching
    return shown.filter((one) => !shown.some((other) => PARTNERS[one.name] === other.name))
  }

  /** The fields of a section that are worth showing: what has no effect is put away unless it is changed. */
  visible(fields: readonly SettingField[]): SettingField[] {
    return fields.filter(
      (one) => drafts.isChanged(one.name) || (!one.noEffect && isNeeded(one.name, (name) => drafts.value(name))),
    )
  }

  countChanged(fields: readonly SettingField[]): number {
    return fields.filter((one) => drafts.isChanged(one.name)).length
  }

  /** What is wrong with a field, in words; null: nothing that is known. */
  problemOf(name: string): string | null {
    const field = this.byName.get(name)
    const problem = field && drafts.isChanged(name) ? checkValue(field, drafts.value(name)) : null
    if (problem) return sayProblem(problem)
    const refusal = this.refusal
    if (!refusal || refusal.field !== name || refusal.draftId !== drafts.activeId) return null
    return refusal.value === this.note(name) ? refusal.message : null
  }

  /** The first field that would be refused as it is. */
  firstProblem(): { field: string; message: string } | null {
    for (const field of this.fields) {
      const problem = drafts.isChanged(field.name) ? checkValue(field, drafts.value(field.name)) : null
      if (problem) return { field: field.name, message: sayProblem(problem) }
    }
    return null
  }

  /** Notes that a field was refused; it is told there until the field is changed. */
  refuse(field: string, message: string): void {
    this.refusal = { draftId: drafts.activeId, field, message, value: this.note(field) }
  }

  /** Writes what a field is now, so that a change of it can be seen; pictures by which there are. */
  private note(field: string): string {
    const { inputs, mode } = drafts.active
    const roles = Object.keys(FIELD_OF_INPUT) as (keyof typeof FIELD_OF_INPUT)[]
    const pictures = roles.some((role) => FIELD_OF_INPUT[role] === field)
      ? roles.map((role) =>
          sourcesOf(inputs, role).map((one) =>
            one.from === 'file' ? `${one.name} ${one.blob.size}` : JSON.stringify(one),
          ),
        )
      : []
    return JSON.stringify([mode, drafts.value(field), pictures])
  }
}

function sayProblem(problem: Problem): string {
  const { problems } = t.generate
  const least = problem.least === undefined ? '' : formatNumber(problem.least, 6)
  const most = problem.most === undefined ? '' : formatNumber(problem.most, 6)
  if (problem.what === 'range') return problems.range(least, most)
  if (problem.what === 'least') return problems.least(least)
  return problem.what === 'most' ? problems.most(most) : problems[problem.what]
}

export const form = new Form()
