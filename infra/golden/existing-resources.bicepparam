// Into what a platform team has there already: subnets, private DNS zones, a Log Analytics workspace
// and the subscription's Event Grid system topic, all in other resource groups.
using '../main.bicep'

param environmentName = 'existing'
param location = 'uksouth'
param privateNetwork = true
param appSubnetId = '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/patch-assessor'
param endpointSubnetId = '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/endpoints'
param existingZones = {
  blob: '/subscriptions/99999999-9999-9999-9999-999999999999/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net'
  table: '/subscriptions/99999999-9999-9999-9999-999999999999/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.table.core.windows.net'
  serviceBus: '/subscriptions/99999999-9999-9999-9999-999999999999/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.servicebus.windows.net'
}
param logAnalyticsWorkspaceId = '/subscriptions/99999999-9999-9999-9999-999999999999/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/log-platform'
param subscribeEvents = true
param systemTopicId = '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-events/providers/Microsoft.EventGrid/systemTopics/subscription-events'
param systemTopicPrincipalId = '66666666-6666-6666-6666-666666666666'
param assessScopes = []
