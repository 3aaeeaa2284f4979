import { useGet } from '../../api/hooks'
import type { Balance } from '../../api/types'
import { Chart } from '../../parts/Chart'
import { ErrorNotice } from '../../parts/ErrorNotice'
import { count } from '../../parts/numbers'
import { Panel } from '../../parts/Panel'
import { perMinute } from './minutes'
import { Sources } from './Sources'

const EVERY_MS = 15_000
const MINUTES = 60
const HEIGHT = 160

/** Of the balance sheet, its minutes and its sources, which the hub has to look at rows for. */
export function LastHour() {
  const from = `${new Date(Date.now() - MINUTES * 60_000).toISOString().slice(0, 16)}Z`
  const balance = useGet<Balance>('/balance', { from }, { every: EVERY_MS })
  const minutes = perMinute(balance.data?.rows ?? [], MINUTES)
  return (
    <>
      <ErrorNotice error={balance.error} />
      <Panel title="Last hour">
        <div style={{ minHeight: HEIGHT }}>
          {balance.data && (
            <Chart
              label="Events a minute"
              summary={`In the last whole minute ${count(minutes.stored.at(-2) ?? 0)} events were stored.`}
              height={HEIGHT}
              times={minutes.times}
              series={[
                { label: 'stored', values: minutes.stored, color: 1 },
                { label: 'duplicate or dropped', values: minutes.left, color: 2 },
                { label: 'dead', values: minutes.dead, color: 4 },
              ]}
            />
          )}
        </div>
      </Panel>
      {balance.data && <Sources sources={balance.data.sources} />}
    </>
  )
}
