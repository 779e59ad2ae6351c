// A private endpoint, and the private zone that makes the service's usual name lead to it.
import { tagsOf } from 'types.bicep'

param name string
param location string
param tags tagsOf

param subnetId string

@description('The network that a zone is linked to, if one is made.')
param networkId string
param targetId string

@description('The part of the service: blob, table or namespace.')
param groupId string
param zoneName string

@description('The zone, where there is one already; empty: it is made here.')
param existingZoneId string

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = if (empty(existingZoneId)) {
  name: zoneName
  location: 'global'
  tags: tags

  resource link 'virtualNetworkLinks' = {
    name: '${name}-link'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: networkId }
    }
  }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2026-03-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: targetId
          groupIds: [groupId]
        }
      }
    ]
  }

  resource names 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: groupId
          properties: { privateDnsZoneId: empty(existingZoneId) ? zone.id : existingZoneId }
        }
      ]
    }
  }
}
