import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import {
  type GraphQLSchema,
  graphql,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql'
import { expect, test } from 'vitest'
import { committed, printed } from '../../schema/print.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { mutationNames, snapshotFields, typeNames } from '../../src/kinds/generated.ts'
import { type Kind, names } from '../../src/kinds/kind.ts'
import { loadKinds } from '../../src/kinds/registry.ts'
import { PLATFORM_MUTATIONS, PLATFORM_TYPES, SNAPSHOT_FIELDS } from '../../src/kinds/reserved.ts'
import { makeSchema } from '../../src/resolvers/index.ts'
import lab from '../support/kinds/lab.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CONTRACT = fileURLToPath(new URL('../../../shared/contract/check.mjs', import.meta.url))

async function schemaWithLab(): Promise<{ schema: GraphQLSchema; kinds: Map<string, Kind> }> {
  const kinds = new Map([...(await loadKinds()), ['lab', checkKind(lab)]])
  return { schema: makeSchema({ kinds }), kinds }
}

const typesOf = (schema: GraphQLSchema) =>
  Object.values(schema.getTypeMap()).filter(type => !isIntrospectionType(type) && !isSpecifiedScalarType(type))
const fieldsOf = (schema: GraphQLSchema, name: string): string[] => {
  const type = schema.getType(name)
  return isObjectType(type) || isInterfaceType(type) ? Object.keys(type.getFields()) : []
}

test('schema.graphql is what the code says; npm run schema prints it', async () => {
  expect(await committed()).toBe(await printed())
})

test.skipIf(!existsSync(CONTRACT))('the printed schema holds the public contract', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [CONTRACT], { cwd: ROOT })
  expect(stdout).toBe('contract held\n')
})

test("a table names the mutations that write it, with its kind's prefix", async () => {
  const zed = checkKind({ ...lab, prefix: 'Zed' })
  const schema = makeSchema({ kinds: new Map([...(await loadKinds()), ['lab', zed]]) })
  const { data } = await graphql({ schema, source: '{ kinds { name tables { name writes } } }' })
  const { kinds } = data as { kinds: { name: string; tables: { name: string; writes: string[] }[] }[] }
  const named = kinds.flatMap(({ tables }) => tables.flatMap(({ writes }) => writes))
  const mutations = Object.keys(schema.getMutationType()?.getFields() ?? {})
  expect(named.filter(name => /^import/.test(name))).toEqual(mutations.filter(name => /^import/.test(name)))
  expect(mutations).toEqual(expect.arrayContaining(named))
  expect(named.some(name => name.startsWith('importZed'))).toBe(true)
})

test('everything has a description, what is made of a kind too', async () => {
  const { schema } = await schemaWithLab()
  const silent = typesOf(schema).flatMap(type => {
    const found: { name: string; description?: string | null | undefined }[] = [type]
    if (isEnumType(type))
      found.push(...type.getValues().map(value => ({ ...value, name: `${type.name}.${value.name}` })))
    if (isInputObjectType(type))
      found.push(...Object.values(type.getFields()).map(field => ({ ...field, name: `${type.name}.${field.name}` })))
    if (isObjectType(type) || isInterfaceType(type))
      for (const field of Object.values(type.getFields())) {
        const name = `${type.name}.${field.name}`
        found.push({ ...field, name }, ...field.args.map(arg => ({ ...arg, name: `${name}(${arg.name})` })))
      }
    return found.filter(({ description }) => !description?.trim()).map(({ name }) => name)
  })
  expect(silent).toEqual([])
})

test('the names that kinds cannot take are those of the platform', () => {
  const schema = makeSchema({ kinds: new Map() })
  const types = typesOf(schema).map(({ name }) => name)
  expect(types.filter(name => !PLATFORM_TYPES.some(taken => taken === name))).toEqual([])
  expect(fieldsOf(schema, 'Snapshot').sort()).toEqual([...SNAPSHOT_FIELDS].sort())
  expect(fieldsOf(schema, 'Mutation').filter(name => !PLATFORM_MUTATIONS.some(taken => taken === name))).toEqual([])
})

test('a kind gives the schema the names that were checked for clashes, and no others', async () => {
  const { schema, kinds } = await schemaWithLab()
  const platform = makeSchema({ kinds: new Map() })
  const checked = new Set([...kinds.values()].flatMap(kind => typeNames('', kind).map(({ name }) => name)))
  const made = typesOf(schema).filter(({ name }) => !platform.getType(name))
  expect(made.map(({ name }) => name).filter(name => !checked.has(name))).toEqual([])
  const mutations = [...kinds.values()].flatMap(kind => mutationNames(kind).map(({ name }) => name))
  expect(fieldsOf(schema, 'Mutation').sort()).toEqual([...fieldsOf(platform, 'Mutation'), ...mutations].sort())
  for (const kind of kinds.values()) {
    const fields = snapshotFields(kind).map(({ name }) => name)
    expect(fieldsOf(schema, names.snapshotType(kind)).sort()).toEqual([...SNAPSHOT_FIELDS, ...fields].sort())
  }
})

test('a kind with a prefix has it before its types and mutations, and not in its snapshot', async () => {
  const { schema } = await schemaWithLab()
  expect(fieldsOf(schema, 'Mutation')).toEqual(
    expect.arrayContaining(['appendLabReadings', 'importLabSamples', 'labRunTrial', 'labRecordDeliveries']),
  )
  expect(fieldsOf(schema, 'LabSnapshot')).toEqual(
    expect.arrayContaining([
      'reading',
      'readings',
      'readingsAggregate',
      'readingsDiff',
      'dailyReadings',
      'outsideLimits',
    ]),
  )
  expect(schema.getType('LabTrialWindow')).toBeDefined()
  expect(fieldsOf(schema, 'LabOutsideReadingConnection')).toEqual(expect.arrayContaining(['nodes', 'upperLimit']))
  // a record can be added to and not changed: no patch
  expect(schema.getType('LabCalibrationInput')).toBeDefined()
  expect(schema.getType('LabCalibrationPatch')).toBeUndefined()
  expect(fieldsOf(schema, 'Mutation')).not.toContain('updateLabCalibrations')
})

test('measures are of the types that keep them exact', async () => {
  const { schema } = await schemaWithLab()
  const typeOf = (name: string, field: string) => {
    const type = schema.getType(name)
    return isObjectType(type) ? type.getFields()[field]?.type.toString() : undefined
  }
  expect(typeOf('LabReadingSums', 'counts')).toBe('BigInt')
  expect(typeOf('LabReadingSums', 'revision')).toBe('BigInt')
  expect(typeOf('LabReadingSums', 'amount')).toBe('Decimal')
  expect(typeOf('LabReadingSums', 'signal')).toBe('Float')
  expect(typeOf('LabReadingSums', 'takenAt')).toBeUndefined()
  expect(typeOf('LabReadingAverages', 'amount')).toBe('Float')
  expect(typeOf('LabReadingExtremes', 'takenAt')).toBe('DateTime')
  expect(typeOf('LabReadingExtremes', 'note')).toBeUndefined()
  expect(typeOf('LabReadingCounts', 'note')).toBe('BigInt')
})
