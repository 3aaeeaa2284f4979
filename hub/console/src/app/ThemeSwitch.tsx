import { ActionIcon, type MantineColorScheme, Menu, Tooltip, useMantineColorScheme } from '@mantine/core'
import { IconDeviceDesktop, IconMoon, IconSun } from '@tabler/icons-react'

const CHOICES = [
  { scheme: 'light', label: 'Light', Icon: IconSun },
  { scheme: 'dark', label: 'Dark', Icon: IconMoon },
  { scheme: 'auto', label: 'As the system', Icon: IconDeviceDesktop },
] as const

export function ThemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const { Icon, label } = CHOICES.find(({ scheme }) => scheme === colorScheme) ?? CHOICES[2]
  return (
    <Menu position="bottom-end" width={160}>
      <Menu.Target>
        <Tooltip label={`Colours: ${label.toLowerCase()}`}>
          <ActionIcon size="lg" aria-label={`Colours: ${label.toLowerCase()}`}>
            <Icon size={18} stroke={1.7} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        {CHOICES.map(({ scheme, label: name, Icon: Own }) => (
          <Menu.Item
            key={scheme}
            leftSection={<Own size={16} aria-hidden />}
            onClick={() => {
              setColorScheme(scheme satisfies MantineColorScheme)
            }}
          >
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}
