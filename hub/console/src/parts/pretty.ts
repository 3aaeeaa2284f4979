/** JSON as people edit it; empty for undefined. */
export const pretty = (value: unknown): string => JSON.stringify(value, null, 2) ?? ''
