// Changes of VMs and ends of maintenance windows become requests; whoever deploys may look on.
using '../main.bicep'

param environmentName = 'events'
param location = 'eastus2'
param subscribeEvents = true
param maintenanceConfigurations = [
  {
    id: '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-updates/providers/Microsoft.Maintenance/maintenanceConfigurations/sundays'
    location: 'eastus2'
  }
  {
    id: '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-updates/providers/Microsoft.Maintenance/maintenanceConfigurations/mondays'
    location: 'westus2'
  }
]
param deployerRoles = true
param principalId = '55555555-5555-5555-5555-555555555555'
param actionGroupIds = [
  '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-alerts/providers/Microsoft.Insights/actionGroups/on-call'
]
