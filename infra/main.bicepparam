// Values from the environment: azd's (`azd env set NAME value`), or the shell's for `az deployment`.
using 'main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')

// JSON, such as [{"subscriptionId": "…", "resourceGroups": ["rg-web"]}]; [] leaves the roles to somebody else.
param assessScopes = json(readEnvironmentVariable(
  'ASSESS_SCOPES',
  '[{"subscriptionId": "${readEnvironmentVariable('AZURE_SUBSCRIPTION_ID')}", "resourceGroups": []}]'
))
param assessManagementGroup = readEnvironmentVariable('ASSESS_MANAGEMENT_GROUP', '')
param allowedScopes = readEnvironmentVariable('ALLOWED_SCOPES', '')
param scanSchedule = readEnvironmentVariable('SCAN_SCHEDULE', '0 0 2 * * *')
param scanScopes = readEnvironmentVariable('SCAN_SCOPES', '')
param scanTags = readEnvironmentVariable('SCAN_TAGS', '')
param scanPacePerMinute = readEnvironmentVariable('SCAN_PACE_PER_MINUTE', '')
param assessHoldSeconds = readEnvironmentVariable('ASSESS_HOLD_SECONDS', '')
param assessExpectedMinutes = readEnvironmentVariable('ASSESS_EXPECTED_MINUTES', '')
param assessDeadlineMinutes = readEnvironmentVariable('ASSESS_DEADLINE_MINUTES', '')
param eventSettleSeconds = readEnvironmentVariable('EVENT_SETTLE_SECONDS', '')
param alertReminderHours = readEnvironmentVariable('ALERT_REMINDER_HOURS', '')

param senderGroupId = readEnvironmentVariable('SENDER_GROUP_ID', '')
param consumerGroupId = readEnvironmentVariable('CONSUMER_GROUP_ID', '')

param privateNetwork = bool(readEnvironmentVariable('PRIVATE_NETWORK', 'true'))
param serviceBusSku = readEnvironmentVariable('SERVICE_BUS_SKU', 'Premium')
param addressPrefix = readEnvironmentVariable('ADDRESS_PREFIX', '10.40.0.0/24')

param instanceMemoryMB = int(readEnvironmentVariable('INSTANCE_MEMORY_MB', '2048'))
param maximumInstanceCount = int(readEnvironmentVariable('MAXIMUM_INSTANCE_COUNT', '40'))
param zoneRedundant = bool(readEnvironmentVariable('ZONE_REDUNDANT', 'false'))
param scaleOnQueueLength = bool(readEnvironmentVariable('SCALE_ON_QUEUE_LENGTH', 'true'))
param traceRatio = readEnvironmentVariable('TRACE_RATIO', '1')
param retentionDays = int(readEnvironmentVariable('RETENTION_DAYS', '30'))
param dailyQuotaGb = int(readEnvironmentVariable('DAILY_QUOTA_GB', '-1'))

param subscribeEvents = bool(readEnvironmentVariable('SUBSCRIBE_EVENTS', 'false'))
param maintenanceConfigurations = json(readEnvironmentVariable('MAINTENANCE_CONFIGURATIONS', '[]'))
param actionGroupIds = json(readEnvironmentVariable('ACTION_GROUP_IDS', '[]'))
